#pragma once

// Threads, warp-wide instructions and launches. nvcc compiles the half below; g++ takes
// tests/cuda/emulated_cuda.h instead, which gives every name here the same meaning on the CPU, so
// that tests run the kernels as they stand.
#ifndef __CUDACC__
#include <emulated_cuda.h>
#else
#include <cuda_runtime.h>

#include <cstdint>

namespace treepo {

constexpr unsigned kAllLanes = 0xffffffffu;

inline __device__ unsigned char* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char bytes[];
  return bytes;
}

template <typename T>
inline __device__ T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(kAllLanes, value, mask);
}

// The value of the lane `distance` below; the lanes that have none keep theirs.
template <typename T>
inline __device__ T shuffle_up(T value, int distance) {
  return __shfl_up_sync(kAllLanes, value, distance);
}

template <typename T>
inline __device__ T shuffle(T value, int lane) {
  return __shfl_sync(kAllLanes, value, lane);
}

inline __device__ unsigned ballot(bool vote) {
  return __ballot_sync(kAllLanes, vote);
}

inline __device__ int lowest_bit(unsigned bits) {  // bits != 0
  return __ffs(static_cast<int>(bits)) - 1;
}

inline __device__ void atomic_add(unsigned long long* to, unsigned long long value) {
  atomicAdd(to, value);
}

// 16 bytes from global to shared memory, or as many zeros; there after commit_copies and
// wait_copies.
inline __device__ void copy_16_or_zeros(void* shared, const void* from, bool copies) {
  const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  const int bytes = copies ? 16 : 0;  // to read
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
               : "memory");
}
inline __device__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
// Waits for all groups of this thread but the last kPending.
template <int kPending>
inline __device__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Four 8 x 8 matrices of 2-byte numbers: lane l names row l % 8 of matrix l / 8. Register i gets
// from matrix i: row lane / 4, columns 2 * (lane % 4) and the next.
inline __device__ void load_matrices(uint32_t (&out)[4], const void* row) {
  const unsigned from = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(from)
               : "memory");
}
// The same of the transposed matrices.
inline __device__ void load_matrices_transposed(uint32_t (&out)[4], const void* row) {
  const unsigned from = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(from)
               : "memory");
}

// c[16, 8] += a[16, 16] * b[16, 8]. With row = lane / 4 and column = 2 * (lane % 4), a register of
// two numbers holds that column and the next (of b: that row and the next):
//   a: (row, column), (row + 8, column), (row, column + 8), (row + 8, column + 8)
//   b: (column, row), (column + 8, row)
//   c: (row, column), (row, column + 1), (row + 8, column), (row + 8, column + 1)
#define TREEPO_MMA(TYPE)                                                    \
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." TYPE "." TYPE       \
               ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" \
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])             \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1))
inline __device__ void mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  TREEPO_MMA("bf16");
}
inline __device__ void mma_f16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  TREEPO_MMA("f16");
}
#undef TREEPO_MMA

// Two numbers in one register, the first in the lower half, rounded to nearest even.
inline __device__ uint32_t pack_bf16(float first, float second) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
}
inline __device__ uint32_t pack_f16(float first, float second) {
  uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
}
inline __device__ float f16_to_float(uint16_t bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}
// 2^x to two units in the last place; below the smallest normal number 0.
inline __device__ float fast_exp2(float x) {
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
}
// The upper half of the product.
inline __device__ uint32_t multiply_high(uint32_t a, uint32_t b) {
  return __umulhi(a, b);
}
inline __device__ float bits_to_float(uint32_t bits) {
  return __uint_as_float(bits);
}
inline __device__ uint32_t float_to_bits(float value) {
  return __float_as_uint(value);
}

// Hands a grid of blocks to the stream. Returns 0 or a CUDA error code.
template <typename Work>
int launch(void (*kernel)(Work), dim3 blocks, unsigned threads, unsigned shared_bytes, void* stream,
           const Work& work) {
  if (blocks.x == 0 || blocks.y == 0) return 0;
  if (shared_bytes > 48 * 1024) {
    const cudaError_t error = cudaFuncSetAttribute(
        kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes));
    if (error != cudaSuccess) return static_cast<int>(error);
  }
  cudaLaunchConfig_t config{};
  config.gridDim = blocks;
  config.blockDim = threads;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream);
  return static_cast<int>(cudaLaunchKernelEx(&config, kernel, work));
}

}  // namespace treepo
#endif
