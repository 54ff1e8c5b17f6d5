#include "base/error.h"

namespace treepo {

void check_failed(const char* condition, const char* file, int line, const std::string& message) {
  throw CheckFailure(
      fmt::format("internal error at {}:{}: {} ({})", file, line, message, condition));
}

}  // namespace treepo
