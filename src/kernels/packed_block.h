#pragma once

#include <cstdint>

namespace treepo {

inline constexpr int64_t kPackedTile = 128;  // keys of one tile

// One block of queries and one key/value head, as the kernels of packed_attention.inc take them.
// A row is one (query, head); all heads that read this key/value head are rows of the same
// products.
template <typename T>
struct PackedBlock {
  const int32_t* subtree_end;  // of all tokens
  const int32_t* keys;         // [num_keys]
  int64_t num_keys, first_query, num_queries;
  int64_t group;                                   // heads for each key/value head
  int64_t head_dim, padded_dim;                    // the latter in whole vectors
  int64_t token_stride;                            // elements from token to token in qkv
  int64_t query_offset, key_offset, value_offset;  // within a token of qkv
  int64_t out_stride, out_offset;                  // of out and grad_out
  int64_t lse_stride, lse_offset;
  T scale;
  T* scratch;  // [scratch_elements()]

  int64_t rows() const { return num_queries * group; }
  int64_t query(int64_t row) const { return first_query + row / group; }
  // Rows: queries, output and query gradients, two tiles of scores, two numbers. Tile: five arrays.
  int64_t scratch_elements() const {
    return rows() * (3 * padded_dim + 2 * kPackedTile + 2) + 5 * kPackedTile * padded_dim;
  }
};

}  // namespace treepo
