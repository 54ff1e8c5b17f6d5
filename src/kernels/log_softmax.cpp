#include "kernels/log_softmax.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels/bfloat16.h"
#include "kernels/isa.h"
#include "kernels/parallel.h"

#define TREEPO_KERNEL_BODY "kernels/log_softmax.inc"
#include "kernels/each_isa.inc"

namespace treepo {

namespace {

constexpr int64_t kExpCost = 8;  // operations that one exponential is worth

}  // namespace

template <typename T>
void log_softmax_statistics_cpu(const T* logits, int64_t rows, int64_t n, T inverse_temperature,
                                T* largest, T* log_sum, T* entropy) {
  parallel_rows(rows, rows * n * kExpCost, [&](int64_t begin, int64_t end) {
    TREEPO_FOR_ISA(log_softmax_statistics<T>)
    (logits, begin, end, n, inverse_temperature, largest, log_sum, entropy);
  });
}

template <typename T>
void log_softmax_gradient_cpu(T* logits, int64_t rows, int64_t n, T inverse_temperature,
                              const T* largest, const T* log_sum, const T* entropy,
                              const T* d_logprob, const T* d_entropy) {
  parallel_rows(rows, rows * n * kExpCost, [&](int64_t begin, int64_t end) {
    TREEPO_FOR_ISA(log_softmax_gradient<T>)
    (logits, begin, end, n, inverse_temperature, largest, log_sum, entropy, d_logprob, d_entropy);
  });
}

#define TREEPO_INSTANTIATE(T)                                                                      \
  template void log_softmax_statistics_cpu<T>(const T*, int64_t, int64_t, T, T*, T*, T*);          \
  template void log_softmax_gradient_cpu<T>(T*, int64_t, int64_t, T, const T*, const T*, const T*, \
                                            const T*, const T*);
TREEPO_INSTANTIATE(float)
TREEPO_INSTANTIATE(double)
#undef TREEPO_INSTANTIATE

}  // namespace treepo
