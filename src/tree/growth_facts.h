#pragma once

#include <cstdint>

namespace treepo {

// What a tree's growth may know of the run around it.
struct GrowthFacts {
  double training_share = 0;  // how much of the training run is done, in [0, 1]
  int64_t trees = 1;          // queries of this sampling run, which share tokens_per_step
};

}  // namespace treepo
