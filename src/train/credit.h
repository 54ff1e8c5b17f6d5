#pragma once

#include <vector>

#include "config/options.h"  // AdvantageOptions
#include "learn/pack.h"      // TrainingTree
#include "train/batch_collector.h"

namespace treepo {

// All trajectories of a tree, with advantages of 0. The tree must outlive it.
TrainingTree uncredited_tree(const SearchTree& tree);

// Fills in advantages and node_advantages of scored trees from their rewards less kl_penalties.
void assign_advantages(std::vector<ScoredTree>& trees, const AdvantageOptions& options);

// training's leaves and advantages become those of `scored` that have a loss.
void take_advantages(const ScoredTree& scored, bool mask_truncated, TrainingTree& training);

}  // namespace treepo
