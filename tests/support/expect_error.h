#pragma once

#include <string>
#include <utility>

#include "base/error.h"

namespace treepo {

// Message and hint of the Error that `call` throws, "MESSAGE | HINT"; a note when it throws none.
template <typename Call>
std::string error_of(Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (const Error& error) {
    return std::string(error.what()) + " | " + error.hint();
  }
  return "(no error was thrown)";
}

}  // namespace treepo
