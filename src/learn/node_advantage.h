#pragma once

#include <span>
#include <vector>

#include "config/options.h"   // AdvantageOptions
#include "learn/advantage.h"  // QueryRewards

namespace treepo {

// Whether the kind gives each node a value of its own: node_advantages(), not leaf_advantages().
bool is_per_node(AdvantageKind kind);

// Advantages of nodes, each for the tokens of its own segment alone. One list for each query, by
// node id up to the largest on a path; 0 for the root, for nodes of no path, and for segments
// without siblings. A leaf that ends at a node that others pass is one more child of that node,
// without tokens.
//   segment             V(n) - V(parent), V(n) the mean reward of the leaves below n
//                       (Monte Carlo values of segments: SPO, arXiv 2505.23564)
//   expected_reward     V(n) - V(parent), V(n) from the bottom up: a leaf's reward, else the mean
//                       of the children's values, however many leaves each has (TreeRPO, arXiv
//                       2506.05183: a step against the steps that share its parent). Undivided: a
//                       standard deviation of few close values would blow their difference up
//   sibling_normalized  the same / (std of the parent's children's values, n - 1 in the
//                       denominator, + epsilon): SPO-tree, arXiv 2505.23564
//
//   root ─┬─ 1 ─┬─ 3  R = 1      segment: V of the root 0.5, of 1 0.75, of 2 0, of 3 and 4 R
//         │     └─ 4  R = 0.5      A: 1 0.25, 2 -0.5, 3 0.25, 4 -0.25
//         └─ 2        R = 0      bottom up: V of 1 0.75, of 2 0, of the root 0.375
//                                  expected_reward: 1 0.375, 2 -0.375, 3 0.25, 4 -0.25
//                                  sibling_normalized: 1 and 3 0.707, 2 and 4 -0.707
//
// query_std divides by the query's (std + epsilon) as for leaves (for sibling_normalized config/
// refuses it). whiten divides by the root mean square over the batch, a token counted once for each
// leaf through it; subtracting a mean would credit segments that nothing is compared with.
std::vector<std::vector<double>> node_advantages(std::span<const QueryRewards> queries,
                                                 const AdvantageOptions& options);

// The mean of a leaf's node advantages over its tokens, for people to look at.
std::vector<double> path_means(const QueryRewards& query, std::span<const double> node_advantages);

}  // namespace treepo
