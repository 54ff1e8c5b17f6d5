#pragma once

#include <string>

namespace treepo {

// The interpreter that workers run: `wanted`, or if that is empty the environment variable
// TREEPO_PYTHON, else the .venv of the checkout that the program was built in, else python3.
std::string python_interpreter(const std::string& wanted);

}  // namespace treepo
