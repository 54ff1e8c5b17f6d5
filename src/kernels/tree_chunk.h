#pragma once

#include <cstdint>

namespace treepo {

inline constexpr int64_t kTreeChunk =
    512;  // keys of a run that one task reads, or one page if larger
// Chunks of a task, and rows of all of them where it has more than one; at most.
inline constexpr int64_t kTreeTaskChunks = 4, kTreeTaskRows = 64;
inline constexpr int64_t kTreeTile = 64;  // columns of scores at once
inline constexpr int64_t kTreeRows = 96;  // rows of scores at once

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
  T scale;  // of scores, log2(e) in it

  T* scratch;  // [kTreeTile, padded_dim]

  // Results, [num_pairs * group] rows: a scaled score near the largest, the sum of 2^(scaled score
  // - it), and the sum of values so weighted, [padded_dim]. Meaningless where a row sees none of
  // the chunk.
  T *reference, *totals, *sums;

  int64_t rows() const { return num_pairs * group; }
};

// Where a query's partial results of one chunk lie: row base + kv_head * kv_stride + head in group.
struct TreePart {
  int64_t base, kv_stride;
};

}  // namespace treepo
