#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "config/options.h"
#include "tree/branch.h"
#include "tree/search_tree.h"

namespace treepo {

// New paths from inside the tree, when no path is active and trajectories are missing.

// A tree falls back at most this often. Each round at least doubles the trajectories, so that the
// width is reached before, unless paths are discarded for being too short.
constexpr int32_t kMaxFallbackRounds = 32;

// Branches with at most `missing` paths together; `round` counts this tree's fallbacks from 0.
//   random: trajectories in random order, each gives branching_factor paths, all from one boundary
//           drawn for it, until the missing ones are made; with no trajectory, one path from the
//           prompt. Sequential sampling: all that are missing from the prompt.
//   none:   no branch.
std::vector<Branch> fallback_branches(const SearchTree& tree, int32_t missing,
                                      const GrowthOptions& options, const RandomStream& fallback,
                                      int32_t round);

// How much of a path of path_tokens tokens is kept: k windows are dropped from its end, k uniform
// in 1…ceil(path_tokens / window), at most max_windows where that is not 0. A multiple of the
// window, below path_tokens. `index` addresses the draw within its round.
int32_t draw_kept_tokens(int32_t path_tokens, int64_t window, int64_t max_windows,
                         const RandomStream& fallback, int32_t round, int32_t index);

struct Cut {
  int32_t parent = 0;              // the node that a new path continues
  int32_t parent_used_tokens = 0;  // after so many of its tokens
};

// Where the path down to `leaf` is left after its first kept_tokens tokens. A cut that leaves no
// depth for a new segment is moved up to the end of the path's segment max_depth - 1.
Cut cut_path(const SearchTree& tree, int32_t leaf, int32_t kept_tokens, int64_t max_depth);

}  // namespace treepo
