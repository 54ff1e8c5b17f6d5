#include "cuda/launches.h"
#include "cuda/narrow.cuh"

namespace treepo {

namespace {

constexpr unsigned kThreads = 512;
constexpr float kLog2E = 1.4426950408889634f;
constexpr double kLn2 = 0.6931471805599453;
constexpr float kLowest = -1e4f;  // a weight of 0 all the same, and 0 * z is no NaN

// One row of logits, 16 bytes at a time: part i holds numbers from i * kEach - shift on, so that
// parts lie at multiples of 16 bytes in any row. The first and the last may belong in part to
// neighbouring rows; there the numbers go one by one.
template <typename S>
struct Row {
  static constexpr int kEach = 16 / sizeof(S);
  S* logits;
  int32_t n, shift, parts;

  __device__ Row(void* all, int64_t row, int32_t size) : n(size) {
    logits = static_cast<S*>(all) + row * n;
    shift = static_cast<int32_t>(row * n % kEach);
    parts = (shift + n + kEach - 1) / kEach;
  }

  __device__ bool whole(int32_t first) const { return first >= 0 && first + kEach <= n; }
  __device__ bool inside(int32_t i) const { return i >= 0 && i < n; }

  __device__ float at(int32_t i) const {
    if constexpr (sizeof(S) == 4)
      return logits[i];
    else
      return Narrow<S>::first(logits[i].bits);
  }
  __device__ void put(int32_t i, float value) const {
    if constexpr (sizeof(S) == 4)
      logits[i] = value;
    else
      logits[i].bits = static_cast<uint16_t>(Narrow<S>::pack(value, 0) & 0xffffu);
  }

  // What lies outside the row is -inf.
  __device__ void load(int32_t part, float (&x)[kEach]) const {
    const int32_t first = part * kEach - shift;
    if (!whole(first)) {
      for (int k = 0; k < kEach; ++k) x[k] = inside(first + k) ? at(first + k) : -INFINITY;
      return;
    }
    const Eight bits = *reinterpret_cast<const Eight*>(logits + first);
    if constexpr (sizeof(S) == 4)
      for (int k = 0; k < kEach; ++k) x[k] = bits_to_float(bits.pairs[k]);
    else
      to_floats<S>(bits, x);
  }

  __device__ void store(int32_t part, const float (&x)[kEach]) const {
    const int32_t first = part * kEach - shift;
    if (!whole(first)) {
      for (int k = 0; k < kEach; ++k)
        if (inside(first + k)) put(first + k, x[k]);
      return;
    }
    Eight bits;
    if constexpr (sizeof(S) == 4)
      for (int k = 0; k < kEach; ++k) bits.pairs[k] = float_to_bits(x[k]);
    else
      bits = to_eight<S>(x);
    *reinterpret_cast<Eight*>(logits + first) = bits;
  }
};

// Σ 2^z and Σ 2^z z over z = (logit - largest) * scale of the logits seen so far; NaN if one is.
struct Sums {
  float largest = -INFINITY, weight = 0, weighted = 0;

  __device__ void raise_to(float most, float scale) {
    const float z = fmaxf((largest - most) * scale, kLowest), kept = exp2f(z);
    weighted = kept * (weighted + z * weight);
    weight *= kept;
    largest = most;
  }

  template <int kCount>
  __device__ void add(const float (&x)[kCount], float scale) {
    float most = x[0];
    for (int k = 1; k < kCount; ++k) most = fmaxf(most, x[k]);
    if (most > largest) raise_to(most, scale);
    float w = 0, wz = 0;
    for (int k = 0; k < kCount; ++k) {
      const float z = fmaxf((x[k] - largest) * scale, kLowest);
      const float p = x[k] == x[k] ? exp2f(z) : x[k];
      w += p;
      wz += p * z;
    }
    weight += w;
    weighted += wz;
  }
};

__device__ float block_max(float value, float* scratch) {
  for (int mask = 16; mask > 0; mask /= 2) value = fmaxf(value, shuffle_xor(value, mask));
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
  __syncthreads();
  for (unsigned warp = 0; warp < kThreads / 32; ++warp) value = fmaxf(value, scratch[warp]);
  return value;
}

template <typename S>
__global__ void __launch_bounds__(kThreads) statistics_kernel(CudaLogSoftmax work) {
  __shared__ float largest[kThreads / 32];
  __shared__ double weight[kThreads / 32], weighted[kThreads / 32];
  const int64_t r = blockIdx.x;
  const Row<S> row(work.logits, r, work.vocab_size);
  const float scale = work.inverse_temperature * kLog2E;
  Sums sums;
  for (auto part = static_cast<int32_t>(threadIdx.x); part < row.parts; part += kThreads) {
    float x[Row<S>::kEach];
    row.load(part, x);
    sums.add(x, scale);
  }
  const float most = block_max(sums.largest, largest);
  sums.raise_to(most, scale);
  const double all = block_sum<double>(sums.weight, weight);
  const double mean = block_sum<double>(sums.weighted, weighted) / all * kLn2;
  const double log_all = log(all);
  const auto log_sum = static_cast<float>(most - most + log_all);  // NaN where most is not finite
  if (threadIdx.x == 0) {
    work.largest[r] = all == all ? most : NAN;
    work.log_sum[r] = log_sum;
    work.entropy[r] = static_cast<float>(log_all - mean);
  }
  for (int64_t t = work.target_begin[r] + threadIdx.x; t < work.target_begin[r + 1]; t += kThreads)
    work.logprob[t] =
        (row.at(static_cast<int32_t>(work.target_token[t])) - most) * work.inverse_temperature -
        log_sum;
}

// The derivative by a logit, all but what its token's own log-probs add.
struct Slope {
  float along, turn, entropy;

  __device__ float at(float logp) const {
    return exp2f(logp * kLog2E) * (along + turn * (fmaxf(logp, kLowest) + entropy));
  }
};

// The sum of derivatives by log-probs of t's token; 0 and false where an earlier target has it.
__device__ bool sum_of_token(const CudaLogSoftmax& work, int64_t begin, int64_t t, int64_t end,
                             float& sum) {
  const int64_t token = work.target_token[t];
  for (int64_t u = begin; u < t; ++u)
    if (work.target_token[u] == token) return false;
  for (int64_t u = t; u < end; ++u)
    if (work.target_token[u] == token) sum += work.d_logprob[u];
  return true;
}

template <typename S>
__global__ void __launch_bounds__(kThreads) gradient_kernel(CudaLogSoftmax work) {
  const int64_t r = blockIdx.x;
  const Row<S> row(work.logits, r, work.vocab_size);
  const int64_t begin = work.target_begin[r], end = work.target_begin[r + 1];
  float sum = 0;
  for (int64_t t = begin; t < end; ++t) sum += work.d_logprob[t];
  const float scale = work.inverse_temperature;
  const Slope slope = {.along = -scale * sum,
                       .turn = work.d_entropy != nullptr ? -scale * work.d_entropy[r] : 0,
                       .entropy = work.entropy[r]};
  const float largest = work.largest[r], log_sum = work.log_sum[r];
  for (auto part = static_cast<int32_t>(threadIdx.x); part < row.parts; part += kThreads) {
    float x[Row<S>::kEach];
    row.load(part, x);
    for (int k = 0; k < Row<S>::kEach; ++k) x[k] = slope.at((x[k] - largest) * scale - log_sum);
    row.store(part, x);
  }
  __syncthreads();
  // Targets again, with what is theirs: one rounding of the whole.
  for (int64_t t = begin + threadIdx.x; t < end; t += kThreads) {
    float own = 0;
    if (sum_of_token(work, begin, t, end, own))
      row.put(static_cast<int32_t>(work.target_token[t]), slope.at(work.logprob[t]) + scale * own);
  }
}

template <typename F>
int with_logits(CudaType type, const F& f) {
  return type == CudaType::float32 ? f(float{}) : with_narrow(type, f);
}

}  // namespace

namespace cuda {

int log_softmax_statistics(void* stream, const CudaLogSoftmax& work) {
  return with_logits(work.type, [&]<typename S>(S) {
    return launch(statistics_kernel<S>, {static_cast<unsigned>(work.rows)}, kThreads, 0, stream,
                  work);
  });
}

int log_softmax_gradient(void* stream, const CudaLogSoftmax& work) {
  return with_logits(work.type, [&]<typename S>(S) {
    return launch(gradient_kernel<S>, {static_cast<unsigned>(work.rows)}, kThreads, 0, stream,
                  work);
  });
}

}  // namespace cuda

}  // namespace treepo
