#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "config/growth_options.h"
#include "tree/branch.h"
#include "tree/search_tree.h"

namespace treepo {

// New paths from inside the tree, when no path is active and trajectories are missing.

// A tree gives up after so many fallbacks in a row that brought no trajectory (all discarded).
// Every other one brings at least one, so that growth always ends.
constexpr int32_t kMaxBarrenFallbacks = 32;

// Branches with at most `missing` paths together; `round` counts this tree's fallbacks from 0.
// Trajectories in the order of fallback_order(), each gives fallback_copies paths (branching_factor
// where that is 0), all from the one place that kept_tokens() tells, until the missing ones are
// made. With no trajectory in that order, and for from_start, one path from the prompt.
// none: no branch. Sequential sampling: all that are missing from the prompt.
std::vector<Branch> fallback_branches(const SearchTree& tree, int32_t missing,
                                      const GrowthOptions& options, const RandomStream& fallback,
                                      int32_t round);

}  // namespace treepo
