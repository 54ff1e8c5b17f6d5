#include "cuda/launches.h"
#include "cuda/packed_rows.cuh"

namespace treepo {

namespace {

constexpr int kKeys = 64, kStages = 3;

struct KeyLists {
  const CudaKeyRun* runs;
  int32_t* keys;
};

// A block of threads for each run.
__global__ void list_keys_kernel(KeyLists lists) {
  const CudaKeyRun run = lists.runs[blockIdx.x];
  for (auto i = static_cast<int32_t>(threadIdx.x); i < run.count; i += kPackedThreads)
    lists.keys[run.at + i] = run.first + i;
}

// One block of queries (blockIdx.x) and key/value head (blockIdx.y); a warp owns 16 rows.
template <typename S, int kDim>
__global__ void __launch_bounds__(kPackedThreads, kDim == 64 ? 4 : 2)
    packed_forward_kernel(CudaPackedAttention work) {
  constexpr int kTile = kKeys * kTileStride<kDim>;
  S* stages = reinterpret_cast<S*>(dynamic_shared());
  const PackedRows<S, kDim> rows(work);
  const CudaQueryBlock block = work.blocks[blockIdx.x];
  const int32_t* ids = work.keys + block.first_key;
  const int first_row = 16 * static_cast<int>(threadIdx.x / 32);
  const int num_rows = (block.end - block.first) * rows.group;
  const bool has_rows = first_row < num_rows;

  uint32_t queries[kDim / 16][4];
  load_operand<S, kDim>(queries, [&](int row) -> const S* {
    return first_row + row < num_rows ? rows.query(block.first * rows.group + first_row + row)
                                      : nullptr;
  });
  const auto start_copy = [&](int index) {
    S* keys = stages + index % kStages * 2 * kTile;
    const auto of = [&](int32_t head) {
      return [&, head](int row) { return rows.token(ids[index * kKeys + row], head); };
    };
    const int count = block.num_keys - index * kKeys;
    copy_rows<S, kKeys, kDim, kPackedThreads>(keys, count, of(rows.key_head));
    copy_rows<S, kKeys, kDim, kPackedThreads>(keys + kTile, count, of(rows.value_head));
  };

  OnlineSoftmax<S, kDim> result;
  const int num_tiles = (block.num_keys + kKeys - 1) / kKeys;
  stream_tiles<kStages>(num_tiles, start_copy, [&](int index) {
    if (!has_rows) return;
    const S* keys = stages + index % kStages * 2 * kTile;
    float scores[kKeys / 8][4];
    result.template scores_of<kKeys>(scores, queries, keys);
    if ((index + 1) * kKeys > block.num_full)
      mask_scores<kKeys>(work, block, ids, index * kKeys, first_row, rows.group, scores);
    result.template add<kKeys>(scores, work.scale * kLog2E, keys + kTile);
  });
  result.finish();
  for (int i = 0; i < 2; ++i) {
    const int row = first_row + lane_row() + 8 * i;
    if (row >= num_rows) continue;
    const int64_t at = rows.out_index(block.first * rows.group + row);
    auto* out = reinterpret_cast<uint32_t*>(static_cast<S*>(work.out) + at * kDim);
    const float inverse = 1 / result.totals[i];
    for (int t = 0; t < kDim / 8; ++t)
      out[4 * t + lane_column() / 2] =
          Narrow<S>::pack(result.sums[t][2 * i] * inverse, result.sums[t][2 * i + 1] * inverse);
    if (lane_column() == 0) work.lse[at] = (result.largest[i] + log2f(result.totals[i])) / kLog2E;
  }
}

template <typename S, int kDim>
int run(void* stream, const CudaPackedAttention& work) {
  return launch(
      packed_forward_kernel<S, kDim>,
      {static_cast<unsigned>(work.num_blocks), static_cast<unsigned>(work.shape.num_kv_heads)},
      kPackedThreads, kStages * 2 * kTileBytes<kKeys, kDim>, stream, work);
}

}  // namespace

int cuda::list_keys(void* stream, const CudaKeyRun* runs, int64_t num_runs, int32_t* keys) {
  return launch(list_keys_kernel, {static_cast<unsigned>(num_runs)}, kPackedThreads, 0, stream,
                KeyLists{.runs = runs, .keys = keys});
}

int cuda::packed_attention_forward(void* stream, const CudaPackedAttention& work) {
  return with_narrow(work.type, [&]<typename S>(S) {
    return work.shape.head_dim == 64 ? run<S, 64>(stream, work) : run<S, 128>(stream, work);
  });
}

}  // namespace treepo
