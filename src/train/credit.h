#pragma once

#include <span>
#include <string>
#include <vector>

#include "config/options.h"  // AdvantageOptions, ObjectiveOptions
#include "learn/pack.h"      // TrainingTree
#include "train/batch_collector.h"

namespace treepo {

// All trajectories of a tree, with advantages of 0. The tree must outlive it.
TrainingTree uncredited_tree(const SearchTree& tree);

// Fills in kl_penalties of scored trees, whose log-probs are in training: training[i] is of
// trees[i]. Where one is not finite (log-probs of narrow types may overflow) it fills in none, and
// tells which: "nan from leaf 3 of query carry-7". Else "".
std::string assign_kl_penalties(std::vector<ScoredTree>& trees,
                                std::span<const TrainingTree> training,
                                const ObjectiveOptions& objective);

// Fills in advantages and node_advantages of scored trees from their rewards less kl_penalties.
void assign_advantages(std::vector<ScoredTree>& trees, const AdvantageOptions& options);

// training's leaves and advantages become those of `scored` that have a loss.
void take_advantages(const ScoredTree& scored, bool mask_truncated, TrainingTree& training);

}  // namespace treepo
