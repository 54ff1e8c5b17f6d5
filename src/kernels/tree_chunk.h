#pragma once

#include <cstdint>

namespace treepo {

inline constexpr int64_t kTreeChunk = 512;  // keys of a run that one task reads
inline constexpr int64_t kTreeTile = 64;    // keys of one product
inline constexpr int64_t kTreeRows = 64;    // rows of one product

// A chunk of a run and one key/value head, as the kernels of tree_attention.inc take them. A row is
// one (query, head); all heads that read this key/value head are rows of the same products.
template <typename T>
struct TreeChunk {
  // Queries of the run; visible counts are from the run's first key, as is first_key.
  const int32_t* pair_query;    // [num_pairs]
  const int32_t* pair_visible;  // [num_pairs]
  int64_t num_pairs;
  int64_t first_key, num_keys;

  // Pages from the one that holds first_key on; skipped_tokens of it belong to earlier chunks.
  const int32_t* piece_page;
  const int32_t* piece_tokens;
  int64_t skipped_tokens;

  int64_t group, head_dim, padded_dim, page_tokens;
  const T* queries;  // of this key/value head's first query head
  int64_t query_stride;
  const T *keys, *values;  // of this key/value head in page 0
  int64_t page_stride;
  T scale;

  // Results, [num_pairs * group] rows: largest score, sum of exponentials relative to it, and the
  // sum of values so weighted, [padded_dim].
  T *largest, *totals, *sums;
  T* scratch;  // [scratch_elements()]

  int64_t rows() const { return num_pairs * group; }
  int64_t scratch_elements() const {
    return kTreeRows * (padded_dim + kTreeTile) + 2 * kTreeTile * padded_dim;
  }
};

}  // namespace treepo
