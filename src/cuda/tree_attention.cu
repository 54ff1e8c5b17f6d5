#include "cuda/launches.h"
#include "cuda/online_softmax.cuh"

namespace treepo {

namespace {

constexpr unsigned kThreads = 128;
constexpr int kWarps = 4, kStages = 2;
constexpr int kKeys = 64;  // of a tile in shared memory

// Shared memory: kCudaMostKeys places, then for each stage a tile of keys and one of values.
constexpr int kPlaceBytes = kCudaMostKeys * 4;
template <int kDim>
constexpr unsigned kSharedBytes = kPlaceBytes + kStages * 2 * kTileBytes<kKeys, kDim>;

struct RowPlace {
  int32_t query, visible, part, head;
};

__device__ RowPlace place_of(const CudaTreeAttention& work, const CudaTreeTile& tile, int row) {
  if (row >= tile.num_rows) return {.query = -1, .visible = 0, .part = 0, .head = 0};
  const int32_t group = work.shape.num_heads / work.shape.num_kv_heads;
  const int32_t flat = tile.first_row + row, entry = tile.first_entry + flat / group;
  return {.query = work.entry_query[entry],
          .visible = work.entry_visible[entry],
          .part = work.entry_part[entry],
          .head = static_cast<int32_t>(blockIdx.y) * group + flat % group};
}

// places[i]: row of the cache, of head_dim numbers, that holds the tile's key i.
__device__ void list_places(const CudaTreeAttention& work, const CudaTreeTile& tile,
                            int32_t* places) {
  const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  for (int32_t piece = tile.first_piece + warp; piece < tile.end_piece; piece += kWarps) {
    const int32_t first = work.piece_first_key[piece] - tile.first_key;
    const int32_t page_head =
        work.piece_page[piece] * work.shape.num_kv_heads + static_cast<int32_t>(blockIdx.y);
    for (int32_t i = lane; i < work.piece_tokens[piece]; i += 32)
      if (first + i >= 0 && first + i < tile.num_keys)
        places[first + i] = page_head * work.page_tokens + i;
  }
}

// Partial results of one row: scratch holds all sums, then all largest scores, then all totals.
struct Parts {
  float *sums, *largest, *totals;
};

__device__ Parts parts_of(const CudaTreeAttention& work, int64_t part, int32_t head,
                          int32_t head_dim) {
  const int64_t all = int64_t{work.num_parts} * work.shape.num_heads;
  const int64_t at = part * work.shape.num_heads + head;
  return {work.scratch + at * head_dim, work.scratch + all * head_dim + at,
          work.scratch + all * (head_dim + 1) + at};
}

template <typename S, int kDim>
__device__ void write_parts(const CudaTreeAttention& work, const CudaTreeTile& tile, int first_row,
                            const OnlineSoftmax<S, kDim>& result) {
  for (int i = 0; i < 2; ++i) {
    const RowPlace place = place_of(work, tile, first_row + lane_row() + 8 * i);
    if (place.query < 0) continue;
    const Parts parts = parts_of(work, place.part, place.head, kDim);
    for (int t = 0; t < kDim / 8; ++t) {
      parts.sums[8 * t + lane_column()] = result.sums[t][2 * i];
      parts.sums[8 * t + lane_column() + 1] = result.sums[t][2 * i + 1];
    }
    if (lane_column() != 0) continue;
    *parts.largest = result.largest[i];
    *parts.totals = result.totals[i];
  }
}

// The four warps have read different keys for the same 16 rows; added in the order of the warps.
template <typename S, int kDim>
__device__ void merge_warps(const CudaTreeAttention& work, const CudaTreeTile& tile,
                            const OnlineSoftmax<S, kDim>& result, float* shared) {
  constexpr int kRows = kCudaSmallRows;
  float* sums = shared;  // [kWarps, kRows, kDim]
  float* largest = sums + kWarps * kRows * kDim;
  float* totals = largest + kWarps * kRows;
  const int warp = static_cast<int>(threadIdx.x / 32);
  for (int i = 0; i < 2; ++i) {
    const int row = warp * kRows + lane_row() + 8 * i;
    for (int t = 0; t < kDim / 8; ++t) {
      sums[row * kDim + 8 * t + lane_column()] = result.sums[t][2 * i];
      sums[row * kDim + 8 * t + lane_column() + 1] = result.sums[t][2 * i + 1];
    }
    if (lane_column() != 0) continue;
    largest[row] = result.largest[i];
    totals[row] = result.totals[i];
  }
  __syncthreads();
  for (int item = static_cast<int>(threadIdx.x); item < tile.num_rows * kDim; item += kThreads) {
    const int row = item / kDim, dim = item % kDim;
    float most = -INFINITY, sum = 0, total = 0;
    for (int w = 0; w < kWarps; ++w) most = fmaxf(most, largest[w * kRows + row]);
    for (int w = 0; w < kWarps; ++w) {
      const float share = fast_exp2(largest[w * kRows + row] - most);
      sum += share * sums[(w * kRows + row) * kDim + dim];
      total += share * totals[w * kRows + row];
    }
    const RowPlace place = place_of(work, tile, row);
    const Parts parts = parts_of(work, place.part, place.head, kDim);
    parts.sums[dim] = sum;
    if (dim != 0) continue;
    *parts.largest = most;
    *parts.totals = total;
  }
}

// One tile and key/value head (blockIdx.y). kSmall: the warps share out the keys of a tile,
// otherwise its rows.
template <typename S, int kDim, bool kSmall>
__device__ void attend_tile(const CudaTreeAttention& work, CudaTreeTile tile) {
  constexpr int kWarpKeys = kSmall ? kKeys / kWarps : kKeys;
  constexpr int kTile = kKeys * kTileStride<kDim>;
  unsigned char* shared = dynamic_shared();
  auto* places = reinterpret_cast<int32_t*>(shared);
  S* stages = reinterpret_cast<S*>(shared + kPlaceBytes);

  const int warp = static_cast<int>(threadIdx.x / 32);
  const int first_row = kSmall ? 0 : 16 * warp, first_key = kSmall ? kWarpKeys * warp : 0;
  const bool has_rows = first_row < tile.num_rows;
  if (tile.num_rows == 0) return;  // padding
  list_places(work, tile, places);

  uint32_t queries[kDim / 16][4];
  load_operand<S, kDim>(queries, [&](int row) -> const S* {
    const RowPlace place = place_of(work, tile, first_row + row);
    if (place.query < 0) return nullptr;
    return static_cast<const S*>(work.queries) + place.query * work.query_stride +
           place.head * kDim;
  });
  const int32_t visible[2] = {place_of(work, tile, first_row + lane_row()).visible,
                              place_of(work, tile, first_row + lane_row() + 8).visible};
  __syncthreads();

  const auto start_copy = [&](int index) {
    const int32_t* const rows = places + index * kKeys;
    const auto row_of = [rows](const void* pages) {
      return [rows, pages](int row) {
        return static_cast<const S*>(pages) + int64_t{rows[row]} * kDim;
      };
    };
    const int count = tile.num_keys - index * kKeys;
    S* keys = stages + index % kStages * 2 * kTile;
    copy_rows<S, kKeys, kDim, kThreads>(keys, count, row_of(work.keys));
    copy_rows<S, kKeys, kDim, kThreads>(keys + kTile, count, row_of(work.values));
  };

  OnlineSoftmax<S, kDim> result;
  const int num_tiles = (tile.num_keys + kKeys - 1) / kKeys;
  stream_tiles<kStages>(num_tiles, start_copy, [&](int index) {
    const int key = index * kKeys + first_key;
    if (has_rows && key < tile.num_keys) {
      const S* keys = stages + index % kStages * 2 * kTile + first_key * kTileStride<kDim>;
      float scores[kWarpKeys / 8][4];
      result.template scores_of<kWarpKeys>(scores, queries, keys);
#pragma unroll
      for (int t = 0; t < kWarpKeys / 8; ++t)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          if (key + 8 * t + lane_column() + i % 2 >= visible[i / 2]) scores[t][i] = -INFINITY;
      result.template add<kWarpKeys>(scores, work.scale * kLog2E, keys + kTile);
    }
  });
  result.finish();
  if constexpr (kSmall) {
    __syncthreads();  // the stages are free
    merge_warps(work, tile, result, reinterpret_cast<float*>(stages));
  } else {
    write_parts(work, tile, first_row, result);
  }
}

// One tile (blockIdx.x). Large ones come first: they compute while small ones, which wait for
// memory, fill the multiprocessors.
template <typename S, int kDim>
__global__ void __launch_bounds__(kThreads, kDim == 64 ? 4 : 2)
    tree_tile_kernel(CudaTreeAttention work) {
  const auto index = static_cast<int32_t>(blockIdx.x);
  if (index < work.num_large_tiles)
    attend_tile<S, kDim, false>(work, work.tiles[work.num_small_tiles + index]);
  else
    attend_tile<S, kDim, true>(work, work.tiles[index - work.num_large_tiles]);
}

// One warp merges the parts of one query (blockIdx.x) and head, in their order.
template <typename S, int kDim>
__global__ void __launch_bounds__(kThreads) merge_parts_kernel(CudaTreeAttention work) {
  const int32_t query = static_cast<int32_t>(blockIdx.x);
  const int lane = static_cast<int>(threadIdx.x % 32);
  const auto head = static_cast<int32_t>(blockIdx.y * kWarps + threadIdx.x / 32);
  if (head >= work.shape.num_heads) return;
  const int32_t begin = work.part_begin[query], end = work.part_begin[query + 1];
  float most = -INFINITY, total = 0, sums[kDim / 32] = {};
  for (int32_t part = begin; part < end; ++part)
    most = fmaxf(most, *parts_of(work, part, head, kDim).largest);
  for (int32_t part = begin; part < end; ++part) {
    const Parts parts = parts_of(work, part, head, kDim);
    const float share = fast_exp2(*parts.largest - most);
    total += share * *parts.totals;
    for (int i = 0; i < kDim / 32; ++i)
      sums[i] += share * parts.sums[i / 2 * 64 + 2 * lane + i % 2];
  }
  if (begin == end) total = 1;  // padding: zeros rather than NaN
  auto* out =
      static_cast<uint32_t*>(work.out) + (int64_t{query} * work.shape.num_heads + head) * kDim / 2;
  for (int i = 0; i < kDim / 64; ++i)
    out[32 * i + lane] = Narrow<S>::pack(sums[2 * i] / total, sums[2 * i + 1] / total);
}

template <typename S, int kDim>
int run(void* stream, const CudaTreeAttention& work) {
  const auto kv_heads = static_cast<unsigned>(work.shape.num_kv_heads);
  const auto tiles = static_cast<unsigned>(work.num_small_tiles + work.num_large_tiles);
  const int error = launch(tree_tile_kernel<S, kDim>, {tiles, kv_heads}, kThreads,
                           kSharedBytes<kDim>, stream, work);
  if (error != 0) return error;
  const auto heads = static_cast<unsigned>(work.shape.num_heads);
  return launch(merge_parts_kernel<S, kDim>,
                {static_cast<unsigned>(work.num_queries), (heads + kWarps - 1) / kWarps}, kThreads,
                0, stream, work);
}

}  // namespace

int cuda::tree_attention(void* stream, const CudaTreeAttention& work) {
  return with_narrow(work.type, [&]<typename S>(S) {
    return work.shape.head_dim == 64 ? run<S, 64>(stream, work) : run<S, 128>(stream, work);
  });
}

}  // namespace treepo
