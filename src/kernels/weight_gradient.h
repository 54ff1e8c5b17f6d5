#pragma once

#include <cstdint>

#include "kernels/bfloat16.h"

namespace treepo {

// sums += gradᵀ · x, without rounding in between: what x · weightᵀ sends back to its weight.
struct WeightGradient {
  const BFloat16* grad;  // [rows, outer]
  const BFloat16* x;     // [rows, inner]
  float* sums;           // [outer, inner]
  int64_t rows, outer, inner;
  uint32_t* scratch;  // weight_gradient_scratch(…) numbers, at a multiple of 64 bytes
};

int64_t weight_gradient_scratch(int64_t rows, int64_t outer, int64_t inner);

// CPU kernel for Isa::avx512_bf16 only. Numbers below the smallest normal one count as 0. The order
// of additions depends on the shape alone.
void weight_gradient_cpu(const WeightGradient& product);

}  // namespace treepo
