#pragma once

#include <cstdint>

namespace treepo {

inline constexpr int64_t kTreeChunk =
    512;  // keys of a run that one task reads, or one page if larger
inline constexpr int64_t kTreeTile = 64;  // columns of scores at once
inline constexpr int64_t kTreeRows = 24;  // rows of scores at once

// A chunk of a run and one key/value head, as the kernels of tree_attention.inc take them. A row is
// one (query, head); all heads that read this key/value head are rows of the same products. T is
// what is computed in, S what keys and values are stored as.
template <typename T, typename S>
struct TreeChunk {
  // Queries of the run. visible counts from the run's first key, as does first_key.
  const int32_t* pair_query;    // [num_pairs]
  const int32_t* pair_visible;  // [num_pairs]
  int64_t num_pairs;
  int64_t first_key;
  const int32_t* piece_page;    // [num_pieces]
  const int32_t* piece_tokens;  // [num_pieces]
  int64_t num_pieces;

  int64_t group, head_dim, padded_dim;  // the last in whole vectors
  int64_t page_tokens;
  const T* queries;  // of this key/value head's first query head
  int64_t query_stride;
  const S* keys;    // of this key/value head in page 0: [head_dim, page_tokens]
  const S* values;  // likewise: [page_tokens, head_dim]
  int64_t page_stride;
  T scale;

  T* scratch;  // [2, kTreeTile, padded_dim]

  // Results, [num_pairs * group] rows: largest score, sum of exponentials relative to it, and the
  // sum of values so weighted, [padded_dim]. Rows that see none of the chunk are left as they are.
  T *largest, *totals, *sums;

  int64_t rows() const { return num_pairs * group; }
};

// Where a query's partial results of one chunk lie: row base + kv_head * kv_stride + head in group.
struct TreePart {
  int64_t base, kv_stride;
};

}  // namespace treepo
