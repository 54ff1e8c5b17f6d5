#include "cuda/launches.h"
#include "cuda/narrow.cuh"

namespace treepo {

namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kWarpRow = 256;  // the longest row that one warp takes

struct Norm {
  const Eight *x, *weight;
  float eps;
  int64_t rows;
  int32_t eights;  // of a row
  Eight* out;
  float* inverse_rms;
};

// A row for each block, or for each warp of it where rows are short.
template <typename S, bool kWholeBlock>
__global__ void __launch_bounds__(kThreads) rms_norm_kernel(Norm work) {
  __shared__ float scratch[kThreads / 32];
  const unsigned lane = threadIdx.x % 32;
  const int64_t row =
      kWholeBlock ? blockIdx.x : int64_t{blockIdx.x} * (kThreads / 32) + threadIdx.x / 32;
  if (row >= work.rows) return;  // a whole warp, and only where warps do not wait for one another
  const int32_t first = static_cast<int32_t>(kWholeBlock ? threadIdx.x : lane);
  constexpr int32_t kStep = kWholeBlock ? kThreads : 32;
  const Eight* x = work.x + row * work.eights;
  float squares = 0, v[8], w[8];
  for (int32_t i = first; i < work.eights; i += kStep) {
    to_floats<S>(x[i], v);
    for (int k = 0; k < 8; ++k) squares += v[k] * v[k];
  }
  const float sum = kWholeBlock ? block_sum(squares, scratch) : warp_sum(squares);
  const float inverse = rsqrtf(sum / static_cast<float>(8 * work.eights) + work.eps);
  for (int32_t i = first; i < work.eights; i += kStep) {
    to_floats<S>(x[i], v);
    to_floats<S>(work.weight[i], w);
    for (int k = 0; k < 8; ++k) v[k] *= inverse * w[k];
    work.out[row * work.eights + i] = to_eight<S>(v);
  }
  if (work.inverse_rms != nullptr && first == 0) work.inverse_rms[row] = inverse;
}

struct NormBackward {
  const Eight *grad_out, *x, *weight;
  const float* inverse_rms;
  int64_t rows;
  int32_t eights;
  Eight* grad_x;
  float* grad_weight_parts;
};

// A strip of rows for each block, whose threads keep the sums of their columns. Ordered sums:
//   grad_x = inverse * (g * w - x * inverse² * mean(g * w * x)),   grad_w = Σ g * x * inverse
template <typename S, unsigned kBlock>
__global__ void __launch_bounds__(kBlock) rms_norm_backward_kernel(NormBackward work) {
  constexpr int kEach = static_cast<int>(kCudaNormBackwardLimit / 8 / kThreads);
  __shared__ float scratch[2][kBlock / 32];
  float sums[kEach][8] = {};
  const int64_t strips = gridDim.x, strip = blockIdx.x;
  const int64_t begin = work.rows * strip / strips, end = work.rows * (strip + 1) / strips;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = row * work.eights;
    const float inverse = work.inverse_rms[row];
    float g[8], v[8], w[8], along = 0;
    for (int j = 0; j < kEach; ++j) {
      const int32_t i = static_cast<int32_t>(threadIdx.x) + j * static_cast<int32_t>(kBlock);
      if (i >= work.eights) break;
      to_floats<S>(work.grad_out[at + i], g);
      to_floats<S>(work.x[at + i], v);
      to_floats<S>(work.weight[i], w);
      for (int k = 0; k < 8; ++k) {
        along += g[k] * w[k] * v[k];
        sums[j][k] += g[k] * v[k] * inverse;
      }
    }
    along = block_sum(along, scratch[row % 2]);
    const float shift = along * inverse * inverse / static_cast<float>(8 * work.eights);
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < work.eights;
         i += static_cast<int32_t>(kBlock)) {
      to_floats<S>(work.grad_out[at + i], g);
      to_floats<S>(work.x[at + i], v);
      to_floats<S>(work.weight[i], w);
      for (int k = 0; k < 8; ++k) v[k] = inverse * (g[k] * w[k] - v[k] * shift);
      work.grad_x[at + i] = to_eight<S>(v);
    }
  }
  float* parts = work.grad_weight_parts + strip * work.eights * 8;
  for (int j = 0; j < kEach; ++j) {
    const int32_t i = static_cast<int32_t>(threadIdx.x) + j * static_cast<int32_t>(kBlock);
    if (i >= work.eights) break;
    for (int k = 0; k < 8; ++k) parts[8 * i + k] = sums[j][k];
  }
}

const Eight* eights(const void* x) {
  return static_cast<const Eight*>(x);
}

}  // namespace

namespace cuda {

int rms_norm(void* stream, CudaType type, const void* x, const void* weight, float eps,
             int64_t rows, int64_t n, void* out, float* inverse_rms) {
  const Norm work = {.x = eights(x),
                     .weight = eights(weight),
                     .eps = eps,
                     .rows = rows,
                     .eights = static_cast<int32_t>(n / 8),
                     .out = static_cast<Eight*>(out),
                     .inverse_rms = inverse_rms};
  return with_narrow(type, [&]<typename S>(S) {
    if (n > kWarpRow)
      return launch(rms_norm_kernel<S, true>, {static_cast<unsigned>(rows)}, kThreads, 0, stream,
                    work);
    const auto blocks = static_cast<unsigned>((rows + kThreads / 32 - 1) / (kThreads / 32));
    return launch(rms_norm_kernel<S, false>, {blocks}, kThreads, 0, stream, work);
  });
}

int rms_norm_backward(void* stream, CudaType type, const void* grad_out, const void* x,
                      const void* weight, const float* inverse_rms, int64_t rows, int64_t n,
                      int64_t strips, void* grad_x, float* grad_weight_parts) {
  const NormBackward work = {.grad_out = eights(grad_out),
                             .x = eights(x),
                             .weight = eights(weight),
                             .inverse_rms = inverse_rms,
                             .rows = rows,
                             .eights = static_cast<int32_t>(n / 8),
                             .grad_x = static_cast<Eight*>(grad_x),
                             .grad_weight_parts = grad_weight_parts};
  const dim3 blocks{static_cast<unsigned>(strips)};
  return with_narrow(type, [&]<typename S>(S) {
    if (n > kWarpRow)
      return launch(rms_norm_backward_kernel<S, kThreads>, blocks, kThreads, 0, stream, work);
    return launch(rms_norm_backward_kernel<S, 32>, blocks, 32, 0, stream, work);
  });
}

}  // namespace cuda

}  // namespace treepo
