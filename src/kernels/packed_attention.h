#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/tree_attention.h"  // AttentionShape

namespace treepo {

// Which keys each block of queries of a packed sequence reads (model/packed_sequence.h: query i
// sees key j iff j <= i < subtree_end[j]). What a block [q0, q1) sees is the path to q0 and its own
// tokens; along the path subtree_end falls, so later queries of the block see a prefix of the path.
//
// Example: subtree_end = [5, 5, 4, 4, 5,  6] with blocks of 2 tokens; a block ends with its tree:
//   block_begin = [0, 2, 4, 5, 6]
//   keys        = [0, 1,   0, 1, 2, 3,   0, 1, 4,   5]    ascending within a block
//   key_begin   = [0, 2, 6, 9, 10]
//   tree_begin  = [0, 3, 4]                               in blocks
struct PackedAttentionPlan {
  std::vector<int32_t> subtree_end;  // [N]
  std::vector<int32_t> block_begin;  // [blocks + 1]
  std::vector<int32_t> keys;
  std::vector<int64_t> key_begin;   // [blocks + 1]
  std::vector<int32_t> tree_begin;  // [trees + 1]; different trees share no keys

  int32_t num_tokens() const { return static_cast<int32_t>(subtree_end.size()); }
  int32_t num_blocks() const { return static_cast<int32_t>(block_begin.size()) - 1; }
  int32_t num_trees() const { return static_cast<int32_t>(tree_begin.size()) - 1; }
};

PackedAttentionPlan plan_packed_attention(std::span<const int32_t> subtree_end,
                                          int32_t block_tokens);

// T: float or double. Neither depends on the number of threads.
//   qkv  [N, num_heads + 2 * num_kv_heads, head_dim]
//   out  [N, num_heads, head_dim]
//   lse  [N, num_heads]  log of the sum of exponentials of each row's scores, for backward
template <typename T>
void packed_attention_forward_cpu(const PackedAttentionPlan& plan, const AttentionShape& shape,
                                  T scale, const T* qkv, T* out, T* lse);

// grad_qkv: [N, num_heads + 2 * num_kv_heads, head_dim], overwritten.
template <typename T>
void packed_attention_backward_cpu(const PackedAttentionPlan& plan, const AttentionShape& shape,
                                   T scale, const T* qkv, const T* out, const T* lse,
                                   const T* grad_out, T* grad_qkv);

}  // namespace treepo
