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

// Whether the kind gives each node a value of its own: node_advantages(), not leaf_advantages().
bool is_per_node(AdvantageKind kind);

// advantage.kind = segment: how much better a path is expected to end for having taken a segment,
//   A(n) = V(n) - V(parent of n), V(n) the mean reward of the leaves below n
// (segment advantages by sampling, SPO, arXiv 2505.23564). It goes to the tokens of node n alone; a
// segment without siblings gets 0. One list for each query, by node id up to the largest on a path;
// 0 for the root and for nodes of no path. Options as above; in the batch's mean and standard
// deviation a token counts once for each leaf through it.
//   root ─┬─ 1 ─┬─ 3  R = 1      V: root 0.5, node 1 0.75, node 2 0, nodes 3 and 4 1 and 0.5
//         │     └─ 4  R = 0.5    A: node 1 0.25, node 2 -0.5, node 3 0.25, node 4 -0.25
//         └─ 2        R = 0
std::vector<std::vector<double>> node_advantages(std::span<const QueryRewards> queries,
                                                 const AdvantageOptions& options);

// The mean of a leaf's node advantages over its tokens, for people to look at.
std::vector<double> path_means(const QueryRewards& query, std::span<const double> node_advantages);

// A query whose verifier scores are all equal teaches nothing: dynamic sampling replaces it.
bool all_scores_equal(std::span<const double> scores);

}  // namespace treepo
