#pragma once

#include <cstdint>

#include "base/random.h"
#include "config/growth_options.h"
#include "tree/search_tree.h"

namespace treepo {

// How many tokens are kept of the path down to `leaf`, which has n: 0 (the prompt) to n - 1. A path
// shorter than one window is left at the prompt. With fallback_max_windows the places below are
// looked for in that many last windows only.
//   random:          draw_kept_tokens()
//   lowest_logprob:  all before the token with the lowest log-prob, the first of equal ones
//   highest_entropy: all before the token drawn from the distribution of highest entropy
//   block, inverse_block: all before a block. Blocks of fallback_block_tokens, the last one
//   shorter,
//                    drawn with probability softmax(-m) or softmax(+m), m the mean log-prob of each
//   from_start:      none
// `round` and `index` address the draws.
int32_t kept_tokens(const SearchTree& tree, int32_t leaf, const GrowthOptions& options,
                    const RandomStream& fallback, int32_t round, int32_t index);

// k windows are dropped from the end of a path of path_tokens tokens, k uniform in
// 1…ceil(path_tokens / window), at most max_windows where that is not 0. What is kept is a multiple
// of the window, below path_tokens.
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
