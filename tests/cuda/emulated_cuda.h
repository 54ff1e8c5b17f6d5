#pragma once

// What src/cuda/device.cuh gives under nvcc, on the CPU: the blocks of a grid run one after
// another, the threads of a block as fibers that change over wherever threads wait for one another.
// Threads run in ascending or descending order between two waits (EmulatedOrder): where a wait is
// missing, the two differ. Shared memory starts as NaN, and copies arrive when they are waited for.

#include <cmath>  // exp2f and the like, as nvcc has them
#include <cstdint>
#include <cstring>
#include <functional>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};
inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace treepo {

enum class EmulatedOrder { ascending, descending };
inline EmulatedOrder emulated_order = EmulatedOrder::ascending;

void run_emulated(dim3 blocks, unsigned threads, unsigned shared_bytes,
                  const std::function<void()>& thread);
void wait_for_block();
// Puts down this lane's bytes and waits for the warp's other lanes. Returns the place of lane 0's;
// lane l's lie l * kLaneBytes further, until this lane's next exchange.
inline constexpr size_t kLaneBytes = 32;
const unsigned char* exchange(const void* bytes, size_t count);
unsigned char* dynamic_shared();

template <typename T>
T of_lane(const unsigned char* slots, unsigned lane) {
  T value;
  std::memcpy(&value, slots + lane * kLaneBytes, sizeof value);
  return value;
}

inline unsigned this_lane() {
  return threadIdx.x % 32;
}

template <typename T>
T shuffle_xor(T value, int mask) {
  return of_lane<T>(exchange(&value, sizeof value), this_lane() ^ static_cast<unsigned>(mask));
}
template <typename T>
T shuffle_up(T value, int distance) {
  const unsigned char* slots = exchange(&value, sizeof value);
  const auto far = static_cast<unsigned>(distance);
  return this_lane() < far ? value : of_lane<T>(slots, this_lane() - far);
}
template <typename T>
T shuffle(T value, int lane) {
  return of_lane<T>(exchange(&value, sizeof value), static_cast<unsigned>(lane));
}
unsigned ballot(bool vote);
inline int lowest_bit(unsigned bits) {
  return __builtin_ctz(bits);
}
inline void atomic_add(unsigned long long* to, unsigned long long value) {
  *to += value;
}

void copy_16_or_zeros(void* shared, const void* from, bool copies);
void commit_copies();
void wait_copies_but(size_t pending);
template <int kPending>
void wait_copies() {
  wait_copies_but(kPending);
}

void load_matrices(uint32_t (&out)[4], const void* row);
void load_matrices_transposed(uint32_t (&out)[4], const void* row);
inline float fast_exp2(float x) {
  return exp2f(x);
}
inline uint32_t multiply_high(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>(uint64_t{a} * b >> 32);
}
void mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);
void mma_f16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);

uint32_t pack_bf16(float first, float second);
uint32_t pack_f16(float first, float second);
float f16_to_float(uint16_t bits);
inline float bits_to_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline uint32_t float_to_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline int min(int a, int b) {
  return a < b ? a : b;
}
inline float rsqrtf(float x) {
  return 1 / std::sqrt(x);
}

inline void __syncthreads() {
  wait_for_block();
}

template <typename Work>
int launch(void (*kernel)(Work), dim3 blocks, unsigned threads, unsigned shared_bytes,
           void* /*stream*/, const Work& work) {
  run_emulated(blocks, threads, shared_bytes, [&] { kernel(work); });
  return 0;
}

}  // namespace treepo
