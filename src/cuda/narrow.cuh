#pragma once

#include "cuda/device.cuh"
#include "kernels/bfloat16.h"      // BFloat16
#include "kernels/cuda_kernels.h"  // CudaType

namespace treepo {

struct Float16 {
  uint16_t bits;
};

// S, what is stored: BFloat16 or Float16; `pair` holds two, the first in the lower half.
template <typename S>
struct Narrow;

template <>
struct Narrow<BFloat16> {
  static __device__ float first(uint32_t pair) { return bits_to_float(pair << 16); }
  static __device__ float second(uint32_t pair) { return bits_to_float(pair & 0xffff0000u); }
  static __device__ uint32_t pack(float a, float b) { return pack_bf16(a, b); }
  static __device__ void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    mma_bf16(c, a, b0, b1);
  }
};

template <>
struct Narrow<Float16> {
  static __device__ float first(uint32_t pair) {
    return f16_to_float(static_cast<uint16_t>(pair & 0xffffu));
  }
  static __device__ float second(uint32_t pair) {
    return f16_to_float(static_cast<uint16_t>(pair >> 16));
  }
  static __device__ uint32_t pack(float a, float b) { return pack_f16(a, b); }
  static __device__ void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    mma_f16(c, a, b0, b1);
  }
};

// Eight numbers, loaded and stored at once.
struct alignas(16) Eight {
  uint32_t pairs[4];
};

template <typename S>
inline __device__ void to_floats(const Eight& from, float (&out)[8]) {
  for (int i = 0; i < 4; ++i) {
    out[2 * i] = Narrow<S>::first(from.pairs[i]);
    out[2 * i + 1] = Narrow<S>::second(from.pairs[i]);
  }
}

template <typename S>
inline __device__ Eight to_eight(const float (&from)[8]) {
  Eight out;
  for (int i = 0; i < 4; ++i) out.pairs[i] = Narrow<S>::pack(from[2 * i], from[2 * i + 1]);
  return out;
}

template <typename T>
inline __device__ T warp_sum(T value) {
  for (int mask = 16; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  return value;
}

// The sum over the block's threads, at each of them, added in the same order on every run.
// `scratch`: shared, one for each warp, free again after the block's next wait.
template <typename T>
inline __device__ T block_sum(T value, T* scratch) {
  value = warp_sum(value);
  if (blockDim.x == 32) return value;
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
  __syncthreads();
  T sum{};
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) sum += scratch[warp];
  return sum;
}

// Calls f(S{}) with the stored type.
template <typename F>
int with_narrow(CudaType type, const F& f) {
  constexpr int kInvalidValue = 1;  // cudaErrorInvalidValue
  if (type == CudaType::bfloat16) return f(BFloat16{});
  if (type == CudaType::float16) return f(Float16{});
  return kInvalidValue;
}

}  // namespace treepo
