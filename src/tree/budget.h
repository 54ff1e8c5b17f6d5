#pragma once

#include <cstdint>

#include "base/random.h"
#include "config/growth_options.h"
#include "tree/growth_facts.h"

namespace treepo {

// How many paths a tree may have. Symbols as in TreePO: U upper bound on trajectories, F
// trajectories so far, f paths that stopped at this barrier, A active paths, b branching factor,
// l tokens of a segment.

// Copies of the root. Budgets transfer and fixed: drawn uniformly from [first_split_min,
// first_split_max]; random: from [branching_min, branching_max]; tokens_per_step:
// max(1, floor(B / l / trees)). At most U. Sequential sampling: the width.
int32_t first_split(const GrowthOptions& options, const GrowthFacts& facts,
                    const RandomStream& growth);
// The most that first_split() may give.
int32_t largest_first_split(const GrowthOptions& options, const GrowthFacts& facts);

// A tree at a barrier.
struct SegmentEnd {
  int32_t active = 0;             // A
  int32_t trajectories = 0;       // F; discarded paths are none, so that their budget is free again
  int32_t stopped_now = 0;        // f, pruned and discarded ones included
  int64_t active_tokens = 0;      // response tokens of the active paths, summed
  int64_t trajectory_tokens = 0;  // … of the trajectories
  int32_t barrier = 1;            // addresses what is drawn: 1 at the first
};

// b: the branching factor, or drawn uniformly from [branching_min, branching_max] for budget
// random.
int64_t branching_at(const GrowthOptions& options, int32_t barrier, const RandomStream& growth);

// U. Limit trajectories: the width. Limit tokens, with M response tokens for each query:
// F + floor((M - tokens of the trajectories) / (mean length of the active paths + l)), within
// [width_min, width]. Where no path is active, a further trajectory is taken to be as long as those
// so far on average. Sequential sampling: the width.
int32_t upper_bound(const GrowthOptions& options, const SegmentEnd& at);

// Paths for the next step in total, A >= 1. Sequential sampling: A.
//   transfer, random: max(A, min(U - F, b f + b A))
//   fixed:            max(A, min(U - F, b A))
//   tokens_per_step:  max(A, min(U - F, floor(B / trees / l)))
int32_t budget_at_segment_end(const GrowthOptions& options, const GrowthFacts& facts,
                              const SegmentEnd& at, const RandomStream& growth);

// The most paths that a tree may have after its next barrier, of which it has `paths` now and F
// trajectories, whichever of them stop there and whatever is drawn: max(paths, min(width - F, m))
// with m the most that its budget gives `paths`. Fallback, for which all must stop, may give more.
int32_t largest_next_budget(const GrowthOptions& options, const GrowthFacts& facts, int32_t paths,
                            int32_t trajectories);

}  // namespace treepo
