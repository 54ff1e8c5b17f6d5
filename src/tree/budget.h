#pragma once

#include <cstdint>

#include "base/random.h"
#include "config/options.h"

namespace treepo {

// How many paths a tree may have. Symbols as in TreePO: U upper bound on trajectories (the width),
// F trajectories so far, f paths that stopped at this barrier, A active paths, b branching factor.

// Copies of the root: drawn uniformly from [first_split_min, first_split_max], at most U.
// Sequential sampling: U.
int32_t first_split(const GrowthOptions& options, const RandomStream& growth);

struct SegmentEnd {
  int32_t active = 0;        // A
  int32_t trajectories = 0;  // F; discarded paths are none, so that their budget is free again
  int32_t stopped_now = 0;   // f, the discarded ones included
};

// Paths for the next step in total: max(A, min(U - F, b f + b A)). Sequential sampling: A.
int32_t budget_at_segment_end(const GrowthOptions& options, const SegmentEnd& at);

}  // namespace treepo
