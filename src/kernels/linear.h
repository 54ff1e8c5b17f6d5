#pragma once

#include <cstdint>

#include "kernels/bfloat16.h"

namespace treepo {

// out = x · weightᵀ (+ bias) (+ residual). S, what is stored: float, double or BFloat16; O,
// what the result is stored as: S or Arithmetic<S>. Added up in Arithmetic<S>, rounded once at the
// end. On avx512_bf16, numbers of BFloat16 below the smallest normal one count as 0.
template <typename S, typename O = S>
struct LinearProduct {
  const S* x;         // [rows, inner]
  const S* weight;    // [outer, inner], as checkpoints have it
  const S* bias;      // [outer]; null: none
  const S* residual;  // [rows, outer], may be the same array as out; null: none
  O* out;             // [rows, outer]
  int64_t rows, outer, inner;
};

// CPU kernel on weights as they lie. A row's result depends
// neither on the other rows nor on the number of threads. Weights and rows that begin at multiples
// of 64 bytes are quickest.
template <typename S, typename O>
void linear_cpu(const LinearProduct<S, O>& product);

}  // namespace treepo
