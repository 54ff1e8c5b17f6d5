#include "base/python_interpreter.h"

#include <unistd.h>

#include <cstdlib>

namespace treepo {

std::string python_interpreter(const std::string& wanted) {
  if (!wanted.empty()) return wanted;
  const char* named = std::getenv("TREEPO_PYTHON");
  if (named && *named) return named;
  return ::access(TREEPO_VENV_PYTHON, X_OK) == 0 ? TREEPO_VENV_PYTHON : "python3";
}

}  // namespace treepo
