#pragma once

#include <string_view>

namespace treepo {

// src/report/page/, put into the program by cmake/EmbedText.cmake.
std::string_view page_html();    // with places {{style}}, {{script}}, {{data}}
std::string_view page_style();   // page.css
std::string_view page_script();  // its .js files one after another

}  // namespace treepo
