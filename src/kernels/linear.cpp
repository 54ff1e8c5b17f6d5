#include "kernels/linear.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "kernels/aligned_vector.h"
#include "kernels/isa.h"
#include "kernels/linear_block.h"
#include "kernels/parallel.h"

#define TREEPO_KERNEL_BODY "kernels/linear.inc"
#include "kernels/each_isa.inc"

namespace treepo {

namespace {

constexpr int64_t kTasks = 16, kMostAtOnce = 8;  // few enough to be cheap, enough to balance

// x in Arithmetic<S>: itself, or a copy that is overwritten by this thread's next call.
template <typename S>
const Arithmetic<S>* wide_rows(const S* x, int64_t count) {
  using T = Arithmetic<S>;
  if constexpr (std::is_same_v<S, T>) {
    return x;
  } else {
    thread_local AlignedVector<T> copy;
    if (copy.size() < static_cast<size_t>(count)) copy.resize(static_cast<size_t>(count));
    T* to = copy.data();
    parallel_rows(count, count, [&](int64_t begin, int64_t end) {
      TREEPO_FOR_ISA(widen<S>)(x, begin, end, to);
    });
    return to;
  }
}

// Room for the weights of one panel, this thread's own.
template <typename T>
T* panel_scratch() {
  thread_local AlignedVector<T> room(static_cast<size_t>(kLinearPanel * kLinearInner));
  return room.data();
}

template <typename X, typename S, typename O>
void run_block(const LinearBlock<X, S, O>& block) {
  if constexpr (std::is_same_v<X, Arithmetic<X>>) {
    TREEPO_FOR_ISA(linear_block<X, S, O>)(block);
  } else {
#if TREEPO_ISA_X86
    isa_avx512::linear_block<X, S, O>(block);
#endif
  }
}

// x: [rows, inner] of the type that is multiplied.
template <typename X, typename S, typename O>
void multiply(const X* x, const LinearProduct<S, O>& product) {
  const auto [given, weight, bias, residual, out, rows, outer, inner] = product;
  const int64_t column_blocks = (outer + kLinearColumns - 1) / kLinearColumns;
  const int64_t row_blocks = (rows + kLinearRows - 1) / kLinearRows;
  const auto run = [&](int64_t index) {
    const int64_t row = index / column_blocks * kLinearRows;
    const int64_t column = index % column_blocks * kLinearColumns;
    const int64_t at = row * outer + column;
    run_block<X, S, O>({.x = x + row * inner,
                        .x_stride = inner,
                        .weight = weight + column * inner,
                        .weight_end = weight + outer * inner,
                        .bias = bias != nullptr ? bias + column : nullptr,
                        .residual = residual != nullptr ? residual + at : nullptr,
                        .out = out + at,
                        .out_stride = outer,
                        .rows = std::min(kLinearRows, rows - row),
                        .columns = std::min(kLinearColumns, outer - column),
                        .inner = inner,
                        .scratch = panel_scratch<X>()});
  };
  // Neighbouring blocks go to one thread, for each asks for the next one's weights.
  const int64_t blocks = row_blocks * column_blocks;
  const int64_t at_once = std::clamp<int64_t>(blocks / kTasks, 1, kMostAtOnce);
  parallel_tasks((blocks + at_once - 1) / at_once, rows * outer * inner, [&](int64_t task) {
    for (int64_t i = task * at_once; i < std::min(blocks, (task + 1) * at_once); ++i) run(i);
  });
}

}  // namespace

template <typename S, typename O>
void linear_cpu(const LinearProduct<S, O>& product) {
  TREEPO_CHECK(product.rows >= 0 && product.outer > 0 && product.inner > 0,
               "product of {} x {} x {}", product.rows, product.outer, product.inner);
  if constexpr (std::is_same_v<S, BFloat16>) {
    if (cpu_isa() == Isa::avx512_bf16) {
      multiply<BFloat16>(product.x, product);
      return;
    }
  }
  multiply<Arithmetic<S>>(wide_rows(product.x, product.rows * product.inner), product);
}

template void linear_cpu<float>(const LinearProduct<float>&);
template void linear_cpu<double>(const LinearProduct<double>&);
template void linear_cpu<BFloat16>(const LinearProduct<BFloat16>&);
template void linear_cpu<BFloat16, float>(const LinearProduct<BFloat16, float>&);

}  // namespace treepo
