#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/tree_attention.h"  // AttentionShape

namespace treepo {

inline constexpr int32_t kCudaKeyBlock = 64;  // keys of one task of the backward pass

// A block of queries [first, end) and the keys it reads; the first num_full of them are seen by
// all its queries.
struct CudaQueryBlock {
  int32_t first, end;
  int32_t first_key, num_keys, num_full;
};

// Gradient of keys [first_key, end_key) from the queries [first_query, end_query): those that see a
// block of keys follow one another, for a subtree is a range.
struct CudaKeyTask {
  int32_t first_key, end_key, first_query, end_query;
  int32_t number;  // blocks of keys in turn, and within each its queries in turn
};

// keys[at + i] = first + i for i < count.
struct CudaKeyRun {
  int32_t first, count, at;
};

// Which keys each block of queries reads (kernels/packed_attention.h: plan_packed_attention), and
// the tasks of the backward pass. A path is a few runs of tokens, so the host lists runs and the
// device writes out their keys. A block of keys near the root is seen by all that follows, so its
// queries are split over tasks; their results are added in the order of the tasks.
struct CudaPackedPlan {
  std::vector<CudaQueryBlock> blocks;  // the most keys first
  std::vector<CudaKeyRun> key_runs;
  int32_t num_keys = 0;                 // of all blocks
  std::vector<CudaKeyTask> key_tasks;   // the most queries first
  std::vector<int32_t> key_task_begin;  // [key blocks + 1] numbers

  int32_t num_key_blocks() const { return static_cast<int32_t>(key_task_begin.size()) - 1; }
};

// How many queries a block has: their heads that read one key/value head fill a tile.
int32_t cuda_packed_block(const AttentionShape& shape);

// The longest tasks that give about `wanted_blocks` blocks of threads, all key/value heads counted.
CudaPackedPlan plan_cuda_packed(std::span<const int32_t> subtree_end, const AttentionShape& shape,
                                int32_t wanted_blocks);

}  // namespace treepo
