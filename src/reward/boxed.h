#pragma once

#include <optional>
#include <string_view>

namespace treepo {

// What is inside the last \boxed{…} (or \fbox{…}) whose braces are closed; nullopt: there is none.
std::optional<std::string_view> last_boxed(std::string_view text);

}  // namespace treepo
