#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/options.h"  // AdvantageOptions
#include "tree/search_tree.h"

namespace treepo {

// One trajectory as the advantage sees it.
struct LeafReward {
  std::vector<int32_t> path;  // node ids from the query's root (depth 0) to the last segment
  double reward = 0;
  int64_t num_tokens = 0;                 // of the response
  std::vector<int32_t> used_tokens = {};  // of each node of `path`; for node_advantages() only
};

// The trajectories of one query that take part: what was dropped, pruned or discarded is not
// listed.
struct QueryRewards {
  std::string name;  // for messages
  std::vector<LeafReward> leaves;
};

// `leaves` are nodes of the tree, rewards[i] belongs to leaves[i].
QueryRewards query_rewards(std::string name, const SearchTree& tree,
                           std::span<const int32_t> leaves, std::span<const double> rewards);

// One value for each leaf of a query, in the order of QueryRewards::leaves.
struct LeafAdvantages {
  std::vector<double> values;
  std::vector<int32_t> levels;  // depths that counted
};

// Advantages of the leaves of a batch of queries, one entry for each query. TreePO (arXiv
// 2508.17445): with G_j the leaves that share the first j + 1 nodes of leaf i and A_ij = R_i - mean
// R over G_j,
//   tree                    mean of A_ij over the levels that count                         Eq. 5
//   tree_size_weighted      sum |G_j| A_ij / sum |G_j| over the same levels                 Eq. 6
//   tree_reject_degenerate  levels below the root whose rewards are all equal do not count  Eq. 7
//   tree_no_root            `tree` without depth 0; 0 where no level remains
//   grpo                    A_i0 (arXiv 2402.03300)
//   leave_one_out           R_i - mean R over the query's other leaves (RLOO, arXiv 2402.14740)
// Depth 0 always counts (but for tree_no_root), deeper levels where |G_j| > 1. A query with one
// leaf has nothing subtracted. A node that a fallback left inside its segment is an ancestor like
// any other. query_std divides by (std + epsilon) of the query's rewards, n - 1 in the denominator,
// 1 for one leaf. whiten: (A - m) / sqrt(v + 1e-8) with m, v (n - 1) over the tokens of all
// trajectories of the batch. Throws Error on a reward that is not finite, naming query and leaf.
std::vector<LeafAdvantages> leaf_advantages(std::span<const QueryRewards> queries,
                                            const AdvantageOptions& options);

// A query whose verifier scores are all equal teaches nothing: dynamic sampling replaces it.
bool all_scores_equal(std::span<const double> scores);

}  // namespace treepo
