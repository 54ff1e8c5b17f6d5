#pragma once

#include "cuda/narrow.cuh"

namespace treepo {

// Products of tensor-core operands with tiles in shared memory. A warp owns 16 rows of the result.
// With row = lane / 4 and column = 2 * (lane % 4), its accumulators are
//   sums[t][0, 1]: (row,     8 t + column), (row,     8 t + column + 1)
//   sums[t][2, 3]: (row + 8, 8 t + column), (row + 8, 8 t + column + 1)

inline __device__ int lane_row() {
  return static_cast<int>(threadIdx.x % 32 / 4);
}
inline __device__ int lane_column() {
  return static_cast<int>(2 * (threadIdx.x % 4));
}

// Rows of a tile are this far apart: an odd multiple of 16 bytes, so that the eight rows of a
// matrix load lie in different banks.
template <int kColumns>
inline constexpr int kTileStride = kColumns + 8;
template <int kRows, int kColumns>
inline constexpr int kTileBytes = kRows* kTileStride<kColumns> * 2;

// Starts the copy of kRows rows of kColumns numbers: row r < count from row_at(r), zeros for those
// from count (at least 1) on. The caller commits and waits. All threads of the block take part.
template <typename S, int kRows, int kColumns, unsigned kThreads, typename F>
inline __device__ void copy_rows(S* tile, int count, const F& row_at) {
  constexpr int kEach = kColumns / 8;  // copies of a row
  static_assert(kRows * kEach % kThreads == 0);
#pragma unroll
  for (int i = 0; i < kRows * kEach / static_cast<int>(kThreads); ++i) {
    const int item = i * static_cast<int>(kThreads) + static_cast<int>(threadIdx.x);
    const int row = item / kEach, column = item % kEach * 8;
    const bool exists = row < count;
    copy_16_or_zeros(tile + row * kTileStride<kColumns> + column, row_at(exists ? row : 0) + column,
                     exists);
  }
}

// Calls use(i) for tiles 0 … count - 1 in turn, each once its copy is there for the whole block:
// start(i) begins the copy of tile i to stage i % kStages, up to kStages - 1 tiles ahead. The last
// tile's stage may be written again only after the block has waited.
template <int kStages, typename Start, typename Use>
inline __device__ void stream_tiles(int count, const Start& start, const Use& use) {
  for (int i = 0; i < kStages - 1; ++i) {
    if (i < count) start(i);
    commit_copies();
  }
  for (int i = 0; i < count; ++i) {
    wait_copies<kStages - 2>();
    __syncthreads();  // tile i is there, and tile i - 1 is used: its stage is free
    if (i + kStages - 1 < count) start(i + kStages - 1);
    commit_copies();
    use(i);
  }
  wait_copies<0>();
}

// Operand of 16 rows straight from global memory; row_at as above.
template <typename S, int kColumns, typename F>
inline __device__ void load_operand(uint32_t (&a)[kColumns / 16][4], const F& row_at) {
  const S* rows[2] = {row_at(lane_row()), row_at(lane_row() + 8)};
#pragma unroll
  for (int k = 0; k < kColumns / 16; ++k)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const S* from = rows[i % 2];
      a[k][i] = from == nullptr
                    ? 0
                    : *reinterpret_cast<const uint32_t*>(from + 16 * k + i / 2 * 8 + lane_column());
    }
}

// Operand of 16 rows and 16 columns of a tile.
template <typename S, int kStride>
inline __device__ void load_operand_16(uint32_t (&a)[4], const S* tile) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  load_matrices(a, tile + (lane / 8 % 2 * 8 + lane % 8) * kStride + lane / 16 * 8);
}

// sums[16, kN] += a[16, 16] * tile[kN, 16 columns]ᵀ
template <typename S, int kN, int kStride>
inline __device__ void add_product_transposed(float (&sums)[kN / 8][4], const uint32_t (&a)[4],
                                              const S* tile) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const S* from = tile + (lane / 16 * 8 + lane % 8) * kStride + lane / 8 % 2 * 8;
#pragma unroll
  for (int n = 0; n < kN / 16; ++n) {
    uint32_t b[4];
    load_matrices(b, from + 16 * n * kStride);
    Narrow<S>::mma(sums[2 * n], a, b[0], b[1]);
    Narrow<S>::mma(sums[2 * n + 1], a, b[2], b[3]);
  }
}

// sums[16, kN] += a[16, 16] * tile[16 rows, kN]
template <typename S, int kN, int kStride>
inline __device__ void add_product(float (&sums)[kN / 8][4], const uint32_t (&a)[4],
                                   const S* tile) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const S* from = tile + (lane / 8 % 2 * 8 + lane % 8) * kStride + lane / 16 * 8;
#pragma unroll
  for (int n = 0; n < kN / 16; ++n) {
    uint32_t b[4];
    load_matrices_transposed(b, from + 16 * n);
    Narrow<S>::mma(sums[2 * n], a, b[0], b[1]);
    Narrow<S>::mma(sums[2 * n + 1], a, b[2], b[3]);
  }
}

// Columns [16 k, 16 k + 16) of accumulators as an operand.
template <typename S, int kN>
inline __device__ void to_operand(uint32_t (&a)[4], const float (&sums)[kN / 8][4], int k) {
  a[0] = Narrow<S>::pack(sums[2 * k][0], sums[2 * k][1]);
  a[1] = Narrow<S>::pack(sums[2 * k][2], sums[2 * k][3]);
  a[2] = Narrow<S>::pack(sums[2 * k + 1][0], sums[2 * k + 1][1]);
  a[3] = Narrow<S>::pack(sums[2 * k + 1][2], sums[2 * k + 1][3]);
}

}  // namespace treepo
