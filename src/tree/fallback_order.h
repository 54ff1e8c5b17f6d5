#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "config/growth_options.h"
#include "tree/search_tree.h"

namespace treepo {

// Which trajectories fallback leaves, in this order: indices into tree.leaves().
//   any:                   all in random order
//   finished_first:        all, drawn without replacement with probability in proportion to
//                          stop_weight()
//   finished_first_strict: the same weights, sorted; random order among equal ones
//   longest:               drawn with the length as weight
//   finished:              those with is_finished(), in random order
//   long_answers:          those that stopped with an answer or a stop string and have at least
//                          fallback_min_windows windows of tokens, in random order
// `round` counts this tree's fallbacks from 0 and addresses the draws.
std::vector<int32_t> fallback_order(const SearchTree& tree, const GrowthOptions& options,
                                    const RandomStream& fallback, int32_t round);

// answer 7, stop string 6, EOS 5, depth 4, length 3, repetition 2, pruned 1.
double stop_weight(StopReason reason);

// Tokens of a window: fallback_window, or the segment's where that is 0.
int64_t window_tokens(const GrowthOptions& options);

}  // namespace treepo
