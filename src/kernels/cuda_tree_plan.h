#pragma once

#include <cstdint>
#include <vector>

#include "kernels/tree_attention.h"

namespace treepo {

// Rows of one tile: a row is one (query, head). A small tile's rows fill one tensor-core operand,
// and its warps share out the keys; a large one's warps share out the rows.
inline constexpr int32_t kCudaSmallRows = 16, kCudaLargeRows = 64;
inline constexpr int32_t kCudaMostKeys = 1024;  // of one tile

// What one block of threads reads: a chunk of a run's keys for some rows of the queries that see
// it.
struct CudaTreeTile {
  int32_t first_piece, end_piece;  // pieces that hold the chunk's keys
  int32_t first_key, num_keys;     // counted from the run's first key
  int32_t first_entry;             // the chunk's first entry; row r belongs to entry r / group
  int32_t first_row, num_rows;
};

// TreeAttentionWork as the CUDA kernel takes it. An entry is a query that sees a chunk, and leaves
// one partial result for each head, its part; parts of one query are numbered one after another.
//
// Example: the work of tree_attention.h, whose three runs are a chunk each:
//   entry_query   = [0, 1,  0,  1]
//   entry_visible = [3, 3,  2,  1]     keys of the chunk, from its first
//   entry_part    = [0, 2,  1,  3]
//   part_begin    = [0, 2, 4]
struct CudaTreePlan {
  std::vector<CudaTreeTile> tiles;  // small ones first, within each kind the longest first
  int32_t num_small_tiles = 0;
  std::vector<int32_t> piece_first_key;  // in its run
  std::vector<int32_t> entry_query, entry_visible, entry_part;
  std::vector<int32_t> part_begin;  // [queries + 1]

  int32_t num_large_tiles() const { return static_cast<int32_t>(tiles.size()) - num_small_tiles; }
  int32_t num_parts() const { return static_cast<int32_t>(entry_part.size()); }
};

// The longest chunks that give at least `wanted_blocks` blocks of threads, all key/value heads
// counted, but none shorter than 128 keys. Vectors of `plan` keep their memory.
void plan_cuda_tree(const TreeAttentionWork& work, const AttentionShape& shape, int32_t num_queries,
                    int32_t wanted_blocks, CudaTreePlan& plan);

// Sizes of a plan's arrays.
struct CudaTreeSizes {
  int32_t num_queries = 0, num_small_tiles = 0, num_large_tiles = 0, num_parts = 0, num_pieces = 0;
};

CudaTreeSizes sizes_of(const CudaTreePlan& plan);

// n or a little more, such that few results occur: 0, 1, 2, 4, 8, then multiples of 4 and of the
// `steps`th part of the power of two below, `steps` being one itself.
//   steps 8: 9 -> 12, 33 -> 36, 65 -> 72, 120 -> 120       steps 1: 33 -> 64
int32_t rounded_up(int32_t n, int32_t steps);

// Rows cost products and tiles cost blocks of threads, so these grow by little; the rest costs
// memory.
CudaTreeSizes rounded_up(const CudaTreeSizes& sizes);

// Lengthens a plan's arrays to `sizes`, so that steps of about one size take the same launches:
// tiles without rows after each kind of tiles, queries without parts, and entries and pieces that
// no tile refers to.
void pad_cuda_tree(CudaTreePlan& plan, const CudaTreeSizes& sizes);

}  // namespace treepo
