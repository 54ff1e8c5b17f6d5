#pragma once

#include <cstdint>

namespace treepo {

inline constexpr int64_t kLinearRows = 128;    // of x in one block: they stay in the second cache
inline constexpr int64_t kLinearColumns = 48;  // of the result in one block
inline constexpr int64_t kLinearPanel = 12;    // rows of the weight that stay in the first cache
inline constexpr int64_t kLinearInner = 1024;  // numbers of a row that are added up in registers

// A part of a product's result, as the kernel of linear.inc takes it: at most kLinearRows x
// kLinearColumns. X is what is multiplied: Arithmetic<S>, or BFloat16 on avx512_bf16; S what
// weights are stored as, O the result.
template <typename X, typename S, typename O>
struct LinearBlock {
  const X* x;  // [rows, inner]
  int64_t x_stride;
  const S* weight;      // of the first column: [columns, inner]
  const S* weight_end;  // of all columns, this block's and others'
  const S* bias;        // of the first column; null: none
  const S* residual;    // of the first row and column; null: none
  O* out;               // likewise
  int64_t out_stride;   // of residual and out
  int64_t rows, columns, inner;
  X* scratch;  // [kLinearPanel, kLinearInner]
};

}  // namespace treepo
