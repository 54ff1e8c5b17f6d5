#include "kernels/elementwise.h"

#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/bfloat16.h"
#include "kernels/isa.h"
#include "kernels/parallel.h"

#define TREEPO_KERNEL_BODY "kernels/elementwise.inc"
#include "kernels/each_isa.inc"

namespace treepo {

namespace {

// Operations that one number is worth: read and written, or with an exponential.
constexpr int64_t kPassCost = 8, kExpCost = 8;

}  // namespace

template <typename S>
void rms_norm_cpu(const S* x, const S* weight, Arithmetic<S> eps, int64_t rows, int64_t n, S* out,
                  Arithmetic<S>* inverse_rms) {
  parallel_rows(rows, rows * n * kPassCost, [&](int64_t begin, int64_t end) {
    TREEPO_FOR_ISA(rms_norm<S>)(x, weight, eps, begin, end, n, out, inverse_rms);
  });
}

template <typename S>
void rms_norm_backward_cpu(const S* grad_out, const S* x, const S* weight,
                           const Arithmetic<S>* inverse_rms, int64_t rows, int64_t n, S* grad_x,
                           Arithmetic<S>* grad_weight) {
  using T = Arithmetic<S>;
  // Sums over fixed blocks of rows, added in their order: the same for any number of threads.
  constexpr int64_t kBlock = 256;
  const int64_t blocks = (rows + kBlock - 1) / kBlock;
  std::vector<T> sums(static_cast<size_t>(blocks * n));
  parallel_tasks(blocks, 2 * rows * n * kPassCost, [&](int64_t block) {
    TREEPO_FOR_ISA(rms_norm_backward<S>)
    (grad_out, x, weight, inverse_rms, block * kBlock, std::min(rows, (block + 1) * kBlock), n,
     grad_x, sums.data() + block * n);
  });
  std::fill(grad_weight, grad_weight + n, T{0});
  for (int64_t block = 0; block < blocks; ++block)
    for (int64_t i = 0; i < n; ++i) grad_weight[i] += sums[static_cast<size_t>(block * n + i)];
}

template <typename S>
void rotate_cpu(const S* x, const Arithmetic<S>* table, int64_t rows, int64_t heads,
                int64_t rotated_heads, int64_t head_dim, bool inverse, S* out) {
  using T = Arithmetic<S>;
  parallel_rows(rows, rows * heads * head_dim * kPassCost, [&](int64_t begin, int64_t end) {
    TREEPO_FOR_ISA(rotate<S>)
    (x, table, begin, end, heads, rotated_heads, head_dim, inverse ? T{-1} : T{1}, out);
  });
}

template <typename S>
void swiglu_cpu(const S* gate_up, int64_t rows, int64_t n, S* out) {
  parallel_rows(rows, rows * n * (kPassCost + kExpCost), [&](int64_t begin, int64_t end) {
    TREEPO_FOR_ISA(swiglu<S>)(gate_up, begin, end, n, out);
  });
}

template <typename S>
void swiglu_backward_cpu(const S* grad_out, const S* gate_up, int64_t rows, int64_t n,
                         S* grad_gate_up) {
  parallel_rows(rows, rows * n * (kPassCost + kExpCost), [&](int64_t begin, int64_t end) {
    TREEPO_FOR_ISA(swiglu_backward<S>)(grad_out, gate_up, begin, end, n, grad_gate_up);
  });
}

#define TREEPO_INSTANTIATE(S)                                                                     \
  template void rms_norm_cpu<S>(const S*, const S*, Arithmetic<S>, int64_t, int64_t, S*,          \
                                Arithmetic<S>*);                                                  \
  template void rms_norm_backward_cpu<S>(const S*, const S*, const S*, const Arithmetic<S>*,      \
                                         int64_t, int64_t, S*, Arithmetic<S>*);                   \
  template void rotate_cpu<S>(const S*, const Arithmetic<S>*, int64_t, int64_t, int64_t, int64_t, \
                              bool, S*);                                                          \
  template void swiglu_cpu<S>(const S*, int64_t, int64_t, S*);                                    \
  template void swiglu_backward_cpu<S>(const S*, const S*, int64_t, int64_t, S*);
TREEPO_INSTANTIATE(float)
TREEPO_INSTANTIATE(double)
TREEPO_INSTANTIATE(BFloat16)
#undef TREEPO_INSTANTIATE

}  // namespace treepo
