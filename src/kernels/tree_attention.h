#pragma once

#include <cstdint>
#include <vector>

#include "kernels/bfloat16.h"

namespace treepo {

// Attention of queries over a paged key/value cache, as a list of (run of keys, queries below it).
// Prefill and decode are the same: a query sees the first `visible` keys of each of its runs.
//
// Example: a prompt of 3 tokens in page 7, below it two paths with 2 and 1 cached tokens in pages 4
// and 9; page_tokens = 4; queries 0 and 1 decode one token each:
//   piece_page       = [7, 4, 9]        page of each piece
//   piece_tokens     = [3, 2, 1]        how many of the page's first tokens belong to the piece
//   run_piece_begin  = [0, 1, 2, 3]     run r: pieces [begin[r], begin[r + 1]), read in this order
//   run_tokens       = [3, 2, 1]        sum of its pieces' tokens
//   run_pair_begin   = [0, 2, 3, 4]     run r serves pairs [begin[r], begin[r + 1])
//   pair_query       = [0, 1, 0, 1]     query row, ascending within a run
//   pair_visible     = [3, 3, 2, 1]     how many of the run's first keys that query sees, >= 1
// A run of keys is read once for all its queries. Several queries of one prefill that lie in one
// run see 1, 2, 3, … of its keys: that is the causal mask.
struct TreeAttentionWork {
  int32_t page_tokens = 0;
  std::vector<int32_t> piece_page;
  std::vector<int32_t> piece_tokens;
  std::vector<int32_t> run_piece_begin{0};
  std::vector<int32_t> run_tokens;
  std::vector<int32_t> run_pair_begin{0};
  std::vector<int32_t> pair_query;
  std::vector<int32_t> pair_visible;

  int32_t num_runs() const { return static_cast<int32_t>(run_tokens.size()); }
  void clear();
  // Throws CheckFailure unless the arrays fit together and every query of [0, num_queries) has a
  // run.
  void check_invariants(int32_t num_queries) const;
};

struct AttentionShape {
  int32_t num_heads = 0;
  int32_t num_kv_heads = 0;  // divides num_heads; head h reads that of h / (heads / kv heads)
  int32_t head_dim = 0;

  bool operator==(const AttentionShape&) const = default;
};

class TreeAttentionPlan;  // kernels/tree_attention_plan.h

// CPU kernel. S, what keys and values are stored as: float, double or BFloat16; all else is in
// Arithmetic<S>. Softmax by merging (m, l, o) over runs in a fixed order that depends on neither
// thread count nor batch.
//   queries  [num_queries, num_heads, head_dim], `query_stride` elements from row to row
//   keys     [pages, num_kv_heads, head_dim, page_tokens]: tokens innermost, so that a vector of
//            them is one load; quickest where page_tokens is a multiple of 16 (double: 8)
//   values   [pages, num_kv_heads, page_tokens, head_dim]
// What lies in slots that no run lists may be anything.
//   out      [num_queries, num_heads, head_dim], contiguous
// plan: of this work and this number of key/value heads and heads.
template <typename S>
void tree_attention_cpu(const TreeAttentionPlan& plan, const TreeAttentionWork& work,
                        const AttentionShape& shape, Arithmetic<S> scale,
                        const Arithmetic<S>* queries, int64_t query_stride, const S* keys,
                        const S* values, Arithmetic<S>* out);

}  // namespace treepo
