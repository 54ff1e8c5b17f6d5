#pragma once

#include "cuda/matrix_tile.cuh"

namespace treepo {

constexpr float kLog2E = 1.4426950408889634f;

inline __device__ float quad_max(float x) {
  x = fmaxf(x, shuffle_xor(x, 1));
  return fmaxf(x, shuffle_xor(x, 2));
}
inline __device__ float quad_sum(float x) {
  x += shuffle_xor(x, 1);
  return x + shuffle_xor(x, 2);
}

// Attention of a warp's 16 rows over keys that come in tiles. Row i of 2 is lane_row() + 8 i.
// Scores are kept in powers of two: exp(s) = 2^(s * log2 e).
template <typename S, int kDim>
struct OnlineSoftmax {
  float largest[2] = {-INFINITY, -INFINITY};
  float totals[2] = {0, 0};  // of this lane's columns, until finish()
  float sums[kDim / 8][4] = {};

  // Scores of kKeys keys with the rows' queries.
  template <int kKeys>
  __device__ void scores_of(float (&scores)[kKeys / 8][4], const uint32_t (&queries)[kDim / 16][4],
                            const S* keys) const {
#pragma unroll
    for (int t = 0; t < kKeys / 8; ++t)
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[t][i] = 0;
#pragma unroll
    for (int k = 0; k < kDim / 16; ++k)
      add_product_transposed<S, kKeys, kTileStride<kDim>>(scores, queries[k], keys + 16 * k);
  }

  // Takes in scores (times `scale`, which holds log2 e; what is not seen is -inf) and values.
  template <int kKeys>
  __device__ void add(float (&scores)[kKeys / 8][4], float scale, const S* values) {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      float most = -INFINITY;
#pragma unroll
      for (int t = 0; t < kKeys / 8; ++t)
        most = fmaxf(most, fmaxf(scores[t][2 * row], scores[t][2 * row + 1]));
      most = fmaxf(largest[row], quad_max(most) * scale);
      const float base = most == -INFINITY ? 0 : most;  // a row that has seen nothing yet
      const float kept = fast_exp2(largest[row] - base);
      largest[row] = most;
      totals[row] *= kept;
#pragma unroll
      for (int t = 0; t < kDim / 8; ++t) {
        sums[t][2 * row] *= kept;
        sums[t][2 * row + 1] *= kept;
      }
#pragma unroll
      for (int t = 0; t < kKeys / 8; ++t)
#pragma unroll
        for (int i = 2 * row; i < 2 * row + 2; ++i) {
          scores[t][i] = fast_exp2(scores[t][i] * scale - base);
          totals[row] += scores[t][i];
        }
    }
#pragma unroll
    for (int k = 0; k < kKeys / 16; ++k) {
      uint32_t weights[4];
      to_operand<S, kKeys>(weights, scores, k);
      add_product<S, kDim, kTileStride<kDim>>(sums, weights, values + 16 * k * kTileStride<kDim>);
    }
  }

  __device__ void finish() {
    totals[0] = quad_sum(totals[0]);
    totals[1] = quad_sum(totals[1]);
  }
};

}  // namespace treepo
