#pragma once

#include <span>
#include <string_view>

namespace treepo {

struct PythonModule {
  std::string_view name;    // "handler_math"
  std::string_view source;  // the text of python/handler_math.py
};

// Every file of python/, put into the program when it is built (cmake/EmbedPython.cmake).
std::span<const PythonModule> python_modules();

}  // namespace treepo
