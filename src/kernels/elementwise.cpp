#include "kernels/elementwise.h"

#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/isa.h"
#include "kernels/parallel.h"

#define TREEPO_KERNEL_BODY "kernels/elementwise.inc"
#include "kernels/each_isa.inc"

namespace treepo {

namespace {

constexpr int64_t kExpCost = 8;  // operations that one exponential is worth

}  // namespace

template <typename T>
void rms_norm_cpu(const T* x, const T* weight, T eps, int64_t rows, int64_t n, T* out,
                  T* inverse_rms) {
  parallel_rows(rows, rows * n, [&](int64_t begin, int64_t end) {
    TREEPO_FOR_ISA(rms_norm<T>)(x, weight, eps, begin, end, n, out, inverse_rms);
  });
}

template <typename T>
void rms_norm_backward_cpu(const T* grad_out, const T* x, const T* weight, const T* inverse_rms,
                           int64_t rows, int64_t n, T* grad_x, T* grad_weight) {
  // Sums over fixed blocks of rows, added in their order: the same for any number of threads.
  constexpr int64_t kBlock = 256;
  const int64_t blocks = (rows + kBlock - 1) / kBlock;
  std::vector<T> sums(static_cast<size_t>(blocks * n));
  parallel_tasks(blocks, 2 * rows * n, [&](int64_t block) {
    TREEPO_FOR_ISA(rms_norm_backward<T>)
    (grad_out, x, weight, inverse_rms, block * kBlock, std::min(rows, (block + 1) * kBlock), n,
     grad_x, sums.data() + block * n);
  });
  std::fill(grad_weight, grad_weight + n, T{0});
  for (int64_t block = 0; block < blocks; ++block)
    for (int64_t i = 0; i < n; ++i) grad_weight[i] += sums[static_cast<size_t>(block * n + i)];
}

template <typename T>
void rotate_cpu(const T* x, const T* table, int64_t rows, int64_t heads, int64_t rotated_heads,
                int64_t head_dim, bool inverse, T* out) {
  parallel_rows(rows, rows * heads * head_dim, [&](int64_t begin, int64_t end) {
    TREEPO_FOR_ISA(rotate<T>)
    (x, table, begin, end, heads, rotated_heads, head_dim, inverse ? T{-1} : T{1}, out);
  });
}

template <typename T>
void swiglu_cpu(const T* gate_up, int64_t rows, int64_t n, T* out) {
  parallel_rows(rows, rows * n * kExpCost, [&](int64_t begin, int64_t end) {
    TREEPO_FOR_ISA(swiglu<T>)(gate_up, begin, end, n, out);
  });
}

template <typename T>
void swiglu_backward_cpu(const T* grad_out, const T* gate_up, int64_t rows, int64_t n,
                         T* grad_gate_up) {
  parallel_rows(rows, rows * n * kExpCost, [&](int64_t begin, int64_t end) {
    TREEPO_FOR_ISA(swiglu_backward<T>)(grad_out, gate_up, begin, end, n, grad_gate_up);
  });
}

#define TREEPO_INSTANTIATE(T)                                                                      \
  template void rms_norm_cpu<T>(const T*, const T*, T, int64_t, int64_t, T*, T*);                  \
  template void rms_norm_backward_cpu<T>(const T*, const T*, const T*, const T*, int64_t, int64_t, \
                                         T*, T*);                                                  \
  template void rotate_cpu<T>(const T*, const T*, int64_t, int64_t, int64_t, int64_t, bool, T*);   \
  template void swiglu_cpu<T>(const T*, int64_t, int64_t, T*);                                     \
  template void swiglu_backward_cpu<T>(const T*, const T*, int64_t, int64_t, T*);
TREEPO_INSTANTIATE(float)
TREEPO_INSTANTIATE(double)
#undef TREEPO_INSTANTIATE

}  // namespace treepo
