#pragma once

#include <cstdint>

namespace treepo {

// a / b, rounded up. a >= 0, b > 0.
constexpr int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace treepo
