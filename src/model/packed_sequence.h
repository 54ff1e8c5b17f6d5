#pragma once

#include <cstdint>
#include <vector>

namespace treepo {

// Trees in depth-first order, one after another, as the model runs them in one forward pass.
// Query token i sees key token j iff j <= i < subtree_end[j]. Example: prompt [5, 6], below it the
// branches [7, 8] and [9]; then a second tree with the one token [5]:
//   tokens      = [5, 6, 7, 8, 9,   5]
//   positions   = [0, 1, 2, 3, 2,   0]   tokens before it on its path
//   subtree_end = [5, 5, 4, 4, 5,   6]   one past the last packed token of its subtree
struct PackedSequence {
  std::vector<int32_t> tokens, positions, subtree_end;

  int32_t size() const { return static_cast<int32_t>(tokens.size()); }
  void check_invariants() const;  // nested intervals, positions = number of visible keys - 1
};

}  // namespace treepo
