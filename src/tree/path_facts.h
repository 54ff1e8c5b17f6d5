#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "tree/search_tree.h"

namespace treepo {

// What policies ask about a path: numbers from the tree alone.

constexpr int32_t kWholePath = std::numeric_limits<int32_t>::max();

// Sum of log-probs, means of log-probs and entropies over the last `last_tokens` response tokens
// down to `node`, across its segments; over all where the path has fewer. Means need one token.
double sum_logprob(const SearchTree& tree, int32_t node, int32_t last_tokens = kWholePath);
double mean_logprob(const SearchTree& tree, int32_t node, int32_t last_tokens = kWholePath);
double mean_entropy(const SearchTree& tree, int32_t node, int32_t last_tokens = kWholePath);

// What the value of a path is taken for as long as no finished leaf of its tree has a score.
constexpr double kPriorValue = 0.5;

// An early estimate of what each path will be worth: the mean score of the finished leaves (their
// share that verified, where scores are 0 and 1) below the nearest node of the path, its own last
// included, that has any; kPriorValue where not even the root has. Leaves without a score do not
// count. Example: path 0-2-5 with finished leaves 3 (score 1) and 4 (score 0) below node 2 and leaf
// 1 (score 1) below the root alone: 0.5, from node 2.
std::vector<double> early_values(const SearchTree& tree, std::span<const int32_t> paths);

}  // namespace treepo
