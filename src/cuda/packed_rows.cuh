#pragma once

#include "cuda/online_softmax.cuh"

namespace treepo {

constexpr unsigned kPackedThreads = 128;

// Where rows of one key/value head (blockIdx.y) lie. Row t * group + g is head g of the group, of
// token t.
template <typename S, int kDim>
struct PackedRows {
  const CudaPackedAttention& work;
  int32_t group, key_head, value_head, heads;  // heads: of a token in qkv
  uint32_t inverse_group;                      // 2^32 / group, rounded up

  explicit __device__ PackedRows(const CudaPackedAttention& w)
      : work(w),
        group(w.shape.num_heads / w.shape.num_kv_heads),
        key_head(w.shape.num_heads + static_cast<int32_t>(blockIdx.y)),
        value_head(key_head + w.shape.num_kv_heads),
        heads(w.shape.num_heads + 2 * w.shape.num_kv_heads),
        inverse_group(
            static_cast<uint32_t>(((uint64_t{1} << 32) + static_cast<uint32_t>(group) - 1) /
                                  static_cast<uint32_t>(group))) {}

  // row / group, exact for rows below 2^26: groups are at most 64 heads.
  __device__ int32_t token_of(int32_t row) const {
    return group == 1
               ? row
               : static_cast<int32_t>(multiply_high(static_cast<uint32_t>(row), inverse_group));
  }

  __device__ int32_t head(int32_t row) const {
    return static_cast<int32_t>(blockIdx.y) * group + row - token_of(row) * group;
  }
  __device__ int64_t qkv_index(int64_t token, int32_t of_head) const {
    return (token * heads + of_head) * kDim;
  }
  // Row of out, grad_out (times head_dim), lse and delta.
  __device__ int64_t out_index(int32_t row) const {
    return int64_t{token_of(row)} * work.shape.num_heads + head(row);
  }
  __device__ const S* token(int64_t index, int32_t of_head) const {
    return static_cast<const S*>(work.qkv) + qkv_index(index, of_head);
  }
  __device__ const S* query(int32_t row) const { return token(token_of(row), head(row)); }
  __device__ const S* grad_out(int32_t row) const {
    return static_cast<const S*>(work.grad_out) + out_index(row) * kDim;
  }
};

// -inf where a query of the block does not see a key: scores of the warp's rows from first_row and
// of the block's keys from first_key.
template <int kKeys>
inline __device__ void mask_scores(const CudaPackedAttention& work, const CudaQueryBlock& block,
                                   const int32_t* ids, int first_key, int first_row, int group,
                                   float (&scores)[kKeys / 8][4]) {
  const int32_t query[2] = {block.first + (first_row + lane_row()) / group,
                            block.first + (first_row + lane_row() + 8) / group};
#pragma unroll
  for (int t = 0; t < kKeys / 8; ++t)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int key = first_key + 8 * t + lane_column() + i;
      const int32_t id = key < block.num_keys ? ids[key] : 0;
      const int32_t end = key < block.num_keys ? work.subtree_end[id] : 0;
      if (query[0] < id || query[0] >= end) scores[t][i] = -INFINITY;
      if (query[1] < id || query[1] >= end) scores[t][i + 2] = -INFINITY;
    }
}

}  // namespace treepo
