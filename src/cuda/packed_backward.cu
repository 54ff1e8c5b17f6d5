#include "cuda/launches.h"
#include "cuda/packed_rows.cuh"

// With p = exp(scale * q·k - lse), dp = g·v and delta = g·out:
//   ds = p * (dp - delta),   dq = scale Σ_keys ds k,   dk = scale Σ_rows ds q,   dv = Σ_rows p g
// Queries and keys take turns to stay: one kernel adds over keys for a block of queries, one over
// queries for a block of keys, so that every sum has one owner and one order.

namespace treepo {

namespace {

constexpr int kStages = 3;
constexpr int kTileKeys = 32, kTileRows = 32;

// delta = Σ g * out, a warp for each (token, head).
template <typename S, int kDim>
__global__ void __launch_bounds__(kPackedThreads) delta_kernel(CudaPackedAttention work) {
  const int64_t row = int64_t{blockIdx.x} * (kPackedThreads / 32) + threadIdx.x / 32;
  if (row >= int64_t{work.num_tokens} * work.shape.num_heads) return;
  const auto* out = static_cast<const uint32_t*>(work.out) + row * kDim / 2;
  const auto* grad = static_cast<const uint32_t*>(work.grad_out) + row * kDim / 2;
  float sum = 0;
  for (unsigned i = threadIdx.x % 32; i < kDim / 2; i += 32)
    sum += Narrow<S>::first(out[i]) * Narrow<S>::first(grad[i]) +
           Narrow<S>::second(out[i]) * Narrow<S>::second(grad[i]);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) work.delta[row] = sum;
}

template <int kN>
__device__ void clear(float (&sums)[kN][4]) {
#pragma unroll
  for (int t = 0; t < kN; ++t)
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[t][i] = 0;
}

// Block of queries (blockIdx.x), tiles of its keys.
template <typename S, int kDim>
__global__ void __launch_bounds__(kPackedThreads) query_gradient_kernel(CudaPackedAttention work) {
  constexpr int kKeys = kTileKeys, kStride = kTileStride<kDim>, kTile = kKeys * kStride;
  S* stages = reinterpret_cast<S*>(dynamic_shared());
  const PackedRows<S, kDim> rows(work);
  const CudaQueryBlock block = work.blocks[blockIdx.x];
  const int32_t* ids = work.keys + block.first_key;
  const int first_row = 16 * static_cast<int>(threadIdx.x / 32);
  const int num_rows = (block.end - block.first) * rows.group;
  const int32_t row_base = block.first * rows.group + first_row;
  const auto has_row = [&](int row) { return first_row + row < num_rows; };

  uint32_t queries[kDim / 16][4], grads[kDim / 16][4];
  load_operand<S, kDim>(
      queries, [&](int row) { return has_row(row) ? rows.query(row_base + row) : nullptr; });
  load_operand<S, kDim>(
      grads, [&](int row) { return has_row(row) ? rows.grad_out(row_base + row) : nullptr; });
  float lse[2], delta[2];
  for (int i = 0; i < 2; ++i) {
    const int row = lane_row() + 8 * i;
    lse[i] = has_row(row) ? work.lse[rows.out_index(row_base + row)] * kLog2E : 0;
    delta[i] = has_row(row) ? work.delta[rows.out_index(row_base + row)] : 0;
  }
  const auto start_copy = [&](int index) {
    S* keys = stages + index % kStages * 2 * kTile;
    const auto of = [&](int32_t head) {
      return [&, head](int row) { return rows.token(ids[index * kKeys + row], head); };
    };
    const int count = block.num_keys - index * kKeys;
    copy_rows<S, kKeys, kDim, kPackedThreads>(keys, count, of(rows.key_head));
    copy_rows<S, kKeys, kDim, kPackedThreads>(keys + kTile, count, of(rows.value_head));
  };

  const float scale = work.scale * kLog2E;
  float sums[kDim / 8][4] = {};
  const int num_tiles = (block.num_keys + kKeys - 1) / kKeys;
  stream_tiles<kStages>(num_tiles, start_copy, [&](int index) {
    if (!has_row(0)) return;
    const S* keys = stages + index % kStages * 2 * kTile;
    const S* values = keys + kTile;
    float scores[kKeys / 8][4], along[kKeys / 8][4];
    clear(scores);
    clear(along);
#pragma unroll
    for (int k = 0; k < kDim / 16; ++k) {
      add_product_transposed<S, kKeys, kStride>(scores, queries[k], keys + 16 * k);
      add_product_transposed<S, kKeys, kStride>(along, grads[k], values + 16 * k);
    }
    if ((index + 1) * kKeys > block.num_full)
      mask_scores<kKeys>(work, block, ids, index * kKeys, first_row, rows.group, scores);
#pragma unroll
    for (int t = 0; t < kKeys / 8; ++t)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        scores[t][i] = fast_exp2(scores[t][i] * scale - lse[i / 2]) * (along[t][i] - delta[i / 2]);
#pragma unroll
    for (int k = 0; k < kKeys / 16; ++k) {
      uint32_t shares[4];
      to_operand<S, kKeys>(shares, scores, k);
      add_product<S, kDim, kStride>(sums, shares, keys + 16 * k * kStride);
    }
  });
  for (int i = 0; i < 2; ++i) {
    const int row = lane_row() + 8 * i;
    if (!has_row(row)) continue;
    const int32_t at = row_base + row;
    S* out = static_cast<S*>(work.grad_qkv) + rows.qkv_index(rows.token_of(at), rows.head(at));
    for (int t = 0; t < kDim / 8; ++t)
      reinterpret_cast<uint32_t*>(out)[4 * t + lane_column() / 2] =
          Narrow<S>::pack(sums[t][2 * i] * work.scale, sums[t][2 * i + 1] * work.scale);
  }
}

// What a (query, head) row of a tile brings beside its numbers; query -1: there is no such row.
struct alignas(16) RowTerms {
  float lse = 0, delta = 0;  // lse times log2 e
  int32_t query = -1, unused = 0;
};

// Task of 64 keys (blockIdx.x), tiles of the (query, head) rows that see them; a warp owns 16 keys,
// so scores are computed transposed: keys by rows.
template <typename S, int kDim>
__global__ void __launch_bounds__(kPackedThreads) key_gradient_kernel(CudaPackedAttention work) {
  constexpr int kRows = kTileRows, kStride = kTileStride<kDim>, kTile = kRows * kStride;
  constexpr int kKeyTile = kCudaKeyBlock * kStride;
  S* keys = reinterpret_cast<S*>(dynamic_shared());
  S* values = keys + kKeyTile;
  S* stages = values + kKeyTile;
  auto* terms = reinterpret_cast<RowTerms*>(stages + kStages * 2 * kTile);  // [kStages, kRows]
  const PackedRows<S, kDim> rows(work);
  const CudaKeyTask task = work.key_tasks[blockIdx.x];
  const int warp_key = 16 * static_cast<int>(threadIdx.x / 32);
  const int32_t first_row = task.first_query * rows.group, end_row = task.end_query * rows.group;

  const auto of_keys = [&](int32_t head) {
    return [&, head](int row) { return rows.token(task.first_key + row, head); };
  };
  const auto start_copy = [&](int32_t index) {
    S* queries = stages + index % kStages * 2 * kTile;
    const int32_t from = first_row + index * kRows;
    const int count = end_row - from;
    copy_rows<S, kRows, kDim, kPackedThreads>(queries, count,
                                              [&](int row) { return rows.query(from + row); });
    copy_rows<S, kRows, kDim, kPackedThreads>(queries + kTile, count,
                                              [&](int row) { return rows.grad_out(from + row); });
  };
  // The first kRows threads fetch a row's terms each, a tile ahead of their use.
  const bool brings_terms = threadIdx.x < kRows;
  const auto fetch_terms = [&](int32_t index) -> RowTerms {
    const int32_t row = first_row + index * kRows + static_cast<int32_t>(threadIdx.x);
    if (!brings_terms || row >= end_row) return {};
    const int64_t at = rows.out_index(row);
    return {.lse = work.lse[at] * kLog2E, .delta = work.delta[at], .query = rows.token_of(row)};
  };
  const float scale = work.scale * kLog2E;
  int32_t key[2], end[2];  // of this lane's rows of the transposed scores
  for (int i = 0; i < 2; ++i) {
    key[i] = task.first_key + warp_key + lane_row() + 8 * i;
    end[i] = key[i] < task.end_key ? work.subtree_end[key[i]] : 0;
  }

  float key_sums[kDim / 8][4] = {}, value_sums[kDim / 8][4] = {};
  const int32_t num_tiles = (end_row - first_row + kRows - 1) / kRows;
  const int num_keys = task.end_key - task.first_key;
  copy_rows<S, kCudaKeyBlock, kDim, kPackedThreads>(keys, num_keys, of_keys(rows.key_head));
  copy_rows<S, kCudaKeyBlock, kDim, kPackedThreads>(values, num_keys, of_keys(rows.value_head));
  if (brings_terms) terms[threadIdx.x] = fetch_terms(0);
  stream_tiles<kStages>(num_tiles, start_copy, [&](int32_t index) {
    const RowTerms next = fetch_terms(index + 1);
    const S* queries = stages + index % kStages * 2 * kTile;
    const S* grads = queries + kTile;
    float scores[kRows / 8][4], along[kRows / 8][4];
    clear(scores);
    clear(along);
#pragma unroll
    for (int k = 0; k < kDim / 16; ++k) {
      uint32_t a[4];
      load_operand_16<S, kStride>(a, keys + warp_key * kStride + 16 * k);
      add_product_transposed<S, kRows, kStride>(scores, a, queries + 16 * k);
      load_operand_16<S, kStride>(a, values + warp_key * kStride + 16 * k);
      add_product_transposed<S, kRows, kStride>(along, a, grads + 16 * k);
    }
#pragma unroll
    for (int t = 0; t < kRows / 8; ++t)
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const RowTerms of = terms[index % kStages * kRows + 8 * t + lane_column() + j];
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const bool sees = key[i] <= of.query && of.query < end[i];
          float& score = scores[t][2 * i + j];
          float& share = along[t][2 * i + j];
          score = sees ? fast_exp2(score * scale - of.lse) : 0;
          share = score * (share - of.delta);
        }
      }
#pragma unroll
    for (int k = 0; k < kRows / 16; ++k) {
      uint32_t a[4];
      to_operand<S, kRows>(a, scores, k);
      add_product<S, kDim, kStride>(value_sums, a, grads + 16 * k * kStride);
      to_operand<S, kRows>(a, along, k);
      add_product<S, kDim, kStride>(key_sums, a, queries + 16 * k * kStride);
    }
    if (brings_terms) terms[(index + 1) % kStages * kRows + threadIdx.x] = next;
  });
  float* out = work.scratch + (int64_t{task.number} * work.shape.num_kv_heads + blockIdx.y) * 2 *
                                  kCudaKeyBlock * kDim;
  for (int i = 0; i < 2; ++i) {
    float* to = out + (warp_key + lane_row() + 8 * i) * kDim + lane_column();
    for (int t = 0; t < kDim / 8; ++t)
      for (int j = 0; j < 2; ++j) {
        to[8 * t + j] = key_sums[t][2 * i + j] * work.scale;
        to[kCudaKeyBlock * kDim + 8 * t + j] = value_sums[t][2 * i + j];
      }
  }
}

// Adds the tasks of one block of keys (blockIdx.x), in their order.
template <typename S, int kDim>
__global__ void __launch_bounds__(kPackedThreads) add_tasks_kernel(CudaPackedAttention work) {
  const PackedRows<S, kDim> rows(work);
  const int32_t begin = work.key_task_begin[blockIdx.x], end = work.key_task_begin[blockIdx.x + 1];
  const int32_t first_key = static_cast<int32_t>(blockIdx.x) * kCudaKeyBlock;
  const int32_t end_key = min(first_key + kCudaKeyBlock, work.num_tokens);
  constexpr int kPairs = kDim / 2;
  const int num_pairs = (end_key - first_key) * kPairs;
  for (int item = static_cast<int>(threadIdx.x); item < 2 * num_pairs; item += kPackedThreads) {
    const int which = item / num_pairs, rest = item % num_pairs;
    const int key = rest / kPairs, pair = rest % kPairs;
    float first = 0, second = 0;
    for (int32_t t = begin; t < end; ++t) {
      const float* from =
          work.scratch +
          ((int64_t{t} * work.shape.num_kv_heads + blockIdx.y) * 2 + which) * kCudaKeyBlock * kDim +
          key * kDim + 2 * pair;
      first += from[0];
      second += from[1];
    }
    S* out = static_cast<S*>(work.grad_qkv) +
             rows.qkv_index(first_key + key, which == 0 ? rows.key_head : rows.value_head);
    reinterpret_cast<uint32_t*>(out)[pair] = Narrow<S>::pack(first, second);
  }
}

template <typename S, int kDim>
int run(void* stream, const CudaPackedAttention& work) {
  const auto kv_heads = static_cast<unsigned>(work.shape.num_kv_heads);
  constexpr unsigned kWarps = kPackedThreads / 32;
  const auto num_rows = static_cast<unsigned>(int64_t{work.num_tokens} * work.shape.num_heads);
  int error = launch(delta_kernel<S, kDim>, {(num_rows + kWarps - 1) / kWarps}, kPackedThreads, 0,
                     stream, work);
  if (error == 0)
    error =
        launch(query_gradient_kernel<S, kDim>, {static_cast<unsigned>(work.num_blocks), kv_heads},
               kPackedThreads, kStages * 2 * kTileBytes<kTileKeys, kDim>, stream, work);
  if (error == 0)
    error = launch(key_gradient_kernel<S, kDim>,
                   {static_cast<unsigned>(work.num_key_tasks), kv_heads}, kPackedThreads,
                   2 * kTileBytes<kCudaKeyBlock, kDim> +
                       kStages * (2 * kTileBytes<kTileRows, kDim> + kTileRows * sizeof(RowTerms)),
                   stream, work);
  if (error == 0)
    error =
        launch(add_tasks_kernel<S, kDim>, {static_cast<unsigned>(work.num_key_blocks), kv_heads},
               kPackedThreads, 0, stream, work);
  return error;
}

}  // namespace

int cuda::packed_attention_backward(void* stream, const CudaPackedAttention& work) {
  return with_narrow(work.type, [&]<typename S>(S) {
    return work.shape.head_dim == 64 ? run<S, 64>(stream, work) : run<S, 128>(stream, work);
  });
}

}  // namespace treepo
