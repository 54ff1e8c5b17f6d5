#pragma once

#include "config/options.h"
#include "learn/random_tree.h"

namespace treepo {

// Any objective with any of its options, bounds so tight that random ratios reach all of them.
inline ObjectiveOptions random_objective(RandomTrees& random) {
  ObjectiveOptions options;
  options.kind = static_cast<Objective>(random.integer(0, 6));
  options.ratio = random.integer(0, 2) == 0 ? RatioLevel::sequence : RatioLevel::automatic;
  options.clip_low = random.uniform(0.05, 0.3);
  options.clip_high = random.uniform(0.05, 0.3);
  options.dual_clip = random.integer(0, 1) == 0 ? 0 : 1.6;
  options.kl_beta = random.integer(0, 1) * 0.1;
  options.kl_estimator = static_cast<KlEstimator>(random.integer(0, 2));
  options.entropy_beta = random.integer(0, 1) * 0.05;
  options.importance_cap = random.integer(0, 1) * 1.05;
  options.importance_mask = static_cast<ImportanceMask>(random.integer(0, 3));
  options.importance_mask_low = 0.9;
  options.importance_mask_high = 1.1;
  return options;
}

}  // namespace treepo
