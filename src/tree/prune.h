#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "config/growth_options.h"
#include "tree/search_tree.h"

namespace treepo {

// Active paths to give up at a segment's end, in the order of `active`: the worst, at most
// floor(prune_share · A) and never the last one, and only those that are worse than the mean of
// the active ones by more than prune_margin. Of equally bad ones the earlier goes first. None in
// sequential sampling.
std::vector<int32_t> paths_to_prune(const SearchTree& tree, std::span<const int32_t> active,
                                    const GrowthOptions& options);

// What a policy takes for the worth of each path: its mean log-prob, minus the mean entropy over
// its last segment_tokens tokens, or its early value (path_facts.h). Not for `none`.
std::vector<double> path_worths(PrunePolicy policy, const SearchTree& tree,
                                std::span<const int32_t> active);

// Whether path_worths() reads the scores of leaves.
bool needs_leaf_scores(PrunePolicy policy);

}  // namespace treepo
