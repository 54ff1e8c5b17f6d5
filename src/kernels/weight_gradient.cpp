#include "kernels/weight_gradient.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "kernels/isa.h"
#include "kernels/parallel.h"

#define TREEPO_KERNEL_BODY "kernels/weight_gradient.inc"
#include "kernels/each_isa.inc"

namespace treepo {

namespace {

constexpr int64_t kLane = 16;            // columns that lie together
constexpr int64_t kColumns = 6 * kLane;  // of x in one task
constexpr int64_t kRows = 16 * kLane;    // of the sums in one task
constexpr int64_t kPairs = 128;  // added up in registers: x's part stays in the second cache

int64_t rounded_up(int64_t count, int64_t unit) {
  return (count + unit - 1) / unit;
}

// from: [rows, columns]
void pack(const BFloat16* from, int64_t rows, int64_t columns, uint32_t* to) {
  const int64_t pairs = rounded_up(rows, 2);
  parallel_tasks(rounded_up(columns, kLane), rows * columns, [&](int64_t panel) {
    const int64_t first = panel * kLane;
    TREEPO_FOR_ISA(pack_pairs)
    (from + first, columns, rows, columns - first, to + panel * pairs * kLane);
  });
}

}  // namespace

int64_t weight_gradient_scratch(int64_t rows, int64_t outer, int64_t inner) {
  return rounded_up(rows, 2) * kLane * (rounded_up(outer, kLane) + rounded_up(inner, kLane));
}

void weight_gradient_cpu(const WeightGradient& product) {
  const auto [grad, x, sums, rows, outer, inner, scratch] = product;
  TREEPO_CHECK(rows >= 0 && outer > 0 && inner > 0, "product of {} x {} x {}", rows, outer, inner);
  TREEPO_CHECK(cpu_isa() == Isa::avx512_bf16, "a kernel for instructions that are not there");
#if TREEPO_ISA_X86
  const int64_t pairs = rounded_up(rows, 2), panel = pairs * kLane;
  uint32_t* const packed_grad = scratch;
  uint32_t* const packed_x = scratch + rounded_up(outer, kLane) * panel;
  pack(grad, rows, outer, packed_grad);
  pack(x, rows, inner, packed_x);
  const int64_t row_tasks = rounded_up(outer, kRows);
  parallel_tasks(row_tasks * rounded_up(inner, kColumns), rows * outer * inner, [&](int64_t task) {
    const int64_t first_row = task % row_tasks * kRows, column = task / row_tasks * kColumns;
    const int64_t last_row = std::min(first_row + kRows, outer);
    for (int64_t p = 0; p < pairs; p += kPairs)
      for (int64_t row = first_row; row < last_row; row += kLane)
        isa_avx512::weight_gradient_panel(
            packed_grad + row / kLane * panel + p * kLane, 0, std::min(kLane, last_row - row),
            packed_x + column / kLane * panel + p * kLane, panel, std::min(kPairs, pairs - p),
            std::min(kColumns, inner - column), sums + row * inner + column, inner);
  });
#endif
}

}  // namespace treepo
