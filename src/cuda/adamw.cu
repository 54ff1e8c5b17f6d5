#include <type_traits>

#include "cuda/launches.h"
#include "cuda/narrow.cuh"

namespace treepo {

namespace {

constexpr unsigned kThreads = 256;

// Numbers loaded and stored at once.
struct alignas(16) Four {
  float values[4];
};
struct alignas(8) NarrowFour {
  uint32_t pairs[2];
};

__device__ void update(const AdamWNumbers& c, float gradient, float& weight, float& m, float& v) {
  const float g = gradient * c.gradient_scale;
  m += c.beta1_rest * (g - m);
  v = v * c.beta2 + c.beta2_rest * g * g;
  weight = weight * c.keep - c.step_size * (m / (sqrtf(v) * c.root_scale + c.epsilon));
}

// Four numbers for each thread, from a multiple of four on; where the range begins or ends between
// them, one by one. S: what rounded weights are stored as; float: there are none.
template <typename S>
__global__ void __launch_bounds__(kThreads) adamw_kernel(CudaAdamW work) {
  constexpr bool kRounds = !std::is_same_v<S, float>;
  const int64_t at = (work.begin / 4 + int64_t{blockIdx.x} * kThreads + threadIdx.x) * 4;
  if (at >= work.end) return;
  if (at < work.begin || at + 4 > work.end) {
    for (int64_t i = at < work.begin ? work.begin : at; i < at + 4 && i < work.end; ++i) {
      update(work.numbers, work.gradients[i], work.weights[i], work.m[i], work.v[i]);
      if constexpr (kRounds)
        static_cast<uint16_t*>(work.rounded)[i] =
            static_cast<uint16_t>(Narrow<S>::pack(work.weights[i], 0) & 0xffffu);
    }
    return;
  }
  const Four g = *reinterpret_cast<const Four*>(work.gradients + at);
  auto* weights = reinterpret_cast<Four*>(work.weights + at);
  auto* first = reinterpret_cast<Four*>(work.m + at);
  auto* second = reinterpret_cast<Four*>(work.v + at);
  Four w = *weights, m = *first, v = *second;
  for (int k = 0; k < 4; ++k)
    update(work.numbers, g.values[k], w.values[k], m.values[k], v.values[k]);
  *weights = w;
  *first = m;
  *second = v;
  if constexpr (kRounds)
    *reinterpret_cast<NarrowFour*>(static_cast<uint16_t*>(work.rounded) + at) = {
        {Narrow<S>::pack(w.values[0], w.values[1]), Narrow<S>::pack(w.values[2], w.values[3])}};
}

struct SquaredNorm {
  const float* values;
  int64_t size;
  double* parts;
};

// Which numbers a thread adds, and in which order, depends on nothing but the size.
__global__ void __launch_bounds__(kThreads) squared_norm_kernel(SquaredNorm work) {
  __shared__ double scratch[kThreads / 32];
  const int64_t fours = work.size / 4, step = int64_t{gridDim.x} * kThreads;
  double sum = 0;
  const auto add = [&](float x) { sum += static_cast<double>(x) * static_cast<double>(x); };
  const int64_t thread = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  for (int64_t i = thread; i < fours; i += step) {
    const Four x = reinterpret_cast<const Four*>(work.values)[i];
    for (int k = 0; k < 4; ++k) add(x.values[k]);
  }
  if (thread < work.size % 4) add(work.values[4 * fours + thread]);
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) work.parts[blockIdx.x] = sum;
}

}  // namespace

namespace cuda {

int adamw(void* stream, const CudaAdamW& work) {
  const int64_t fours = (work.end + 3) / 4 - work.begin / 4;
  const dim3 blocks{static_cast<unsigned>((fours + kThreads - 1) / kThreads)};
  if (work.begin >= work.end) return 0;
  if (work.rounded == nullptr)
    return launch(adamw_kernel<float>, blocks, kThreads, 0, stream, work);
  return with_narrow(work.rounded_type, [&]<typename S>(S) {
    return launch(adamw_kernel<S>, blocks, kThreads, 0, stream, work);
  });
}

int squared_norm(void* stream, const float* values, int64_t size, double* parts) {
  return launch(squared_norm_kernel, {static_cast<unsigned>(cuda_norm_parts(size))}, kThreads, 0,
                stream, SquaredNorm{.values = values, .size = size, .parts = parts});
}

}  // namespace cuda

}  // namespace treepo
