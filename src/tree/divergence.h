#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "config/growth_options.h"
#include "tree/search_tree.h"

namespace treepo {

// How a budget is split over the active paths: children of each path, in their order, at least 1,
// adding up to `total` exactly. Needs 1 <= active.size() <= total. training_share: how much of the
// training run is done, in [0, 1].
std::vector<int32_t> split_budget(const SearchTree& tree, std::span<const int32_t> active,
                                  int32_t total, const GrowthOptions& options,
                                  double training_share);

// floor(total / num_paths) each, the remainder to the last. Example: 7 over 3 paths is 2, 2, 3.
std::vector<int32_t> split_even(int32_t total, int32_t num_paths);

// 1 each, the others by largest remainder from the weights softmax(scores / temperature): the floor
// of each share, then one more to the largest fractions, earlier paths first where they are equal.
// Example: 8 over scores (0, log 2) at temperature 1: 1 + 2 and 1 + 4.
std::vector<int32_t> split_weighted(std::span<const double> scores, int32_t total,
                                    double temperature);

// The scores of a weighted policy, more for paths that are to get more. Not for `even`.
std::vector<double> path_scores(BudgetSplit policy, const SearchTree& tree,
                                std::span<const int32_t> active);

// Constant, or (low + high) / 2 ± (high - low) / 2 · sin(π t - π/2) at share t of the training run.
double divergence_temperature(const GrowthOptions& options, double training_share);

// What path_scores() reads besides tokens, log-probs and entropies.
bool needs_leaf_scores(BudgetSplit policy);
bool needs_next_entropy(BudgetSplit policy);

}  // namespace treepo
