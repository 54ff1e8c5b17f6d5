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

}  // namespace

template <typename S, typename O>
void linear_cpu(const LinearProduct<S, O>& product) {
  using T = Arithmetic<S>;
  const auto [x, weight, bias, residual, out, rows, outer, inner] = product;
  TREEPO_CHECK(rows >= 0 && outer > 0 && inner > 0, "product of {} x {} x {}", rows, outer, inner);
  const T* wide = wide_rows(x, rows * inner);
  const int64_t column_blocks = (outer + kLinearColumns - 1) / kLinearColumns;
  const int64_t row_blocks = (rows + kLinearRows - 1) / kLinearRows;
  const auto run_block = [&](int64_t index) {
    const int64_t row = index / column_blocks * kLinearRows;
    const int64_t column = index % column_blocks * kLinearColumns;
    const int64_t at = row * outer + column;
    const LinearBlock<T, S, O> block = {.x = wide + row * inner,
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
                                        .scratch = panel_scratch<T>()};
    TREEPO_FOR_ISA(linear_block<T, S, O>)(block);
  };
  // Neighbouring blocks go to one thread, for each asks for the next one's weights.
  const int64_t blocks = row_blocks * column_blocks;
  const int64_t at_once = std::clamp<int64_t>(blocks / kTasks, 1, kMostAtOnce);
  parallel_tasks((blocks + at_once - 1) / at_once, rows * outer * inner, [&](int64_t task) {
    for (int64_t i = task * at_once; i < std::min(blocks, (task + 1) * at_once); ++i) run_block(i);
  });
}

template void linear_cpu<float>(const LinearProduct<float>&);
template void linear_cpu<double>(const LinearProduct<double>&);
template void linear_cpu<BFloat16>(const LinearProduct<BFloat16>&);
template void linear_cpu<BFloat16, float>(const LinearProduct<BFloat16, float>&);

}  // namespace treepo
