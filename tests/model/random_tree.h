#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "model/packed_sequence.h"

namespace treepo {

// Depth-first trees of drawn tokens, for tests: each token follows the one before it, or, in
// `turns` of 100 cases, some earlier token of that one's path or none (a new tree). parent: packed
// index or -1.
struct RandomTrees {
  PackedSequence packed;
  std::vector<int32_t> parent;

  // Packed indices from the root down to `token`.
  std::vector<int32_t> path(int32_t token) const {
    std::vector<int32_t> reversed;
    for (; token >= 0; token = parent[static_cast<size_t>(token)]) reversed.push_back(token);
    return {reversed.rbegin(), reversed.rend()};
  }
};

inline RandomTrees random_trees(uint64_t seed, int32_t count, int64_t turns, int64_t vocab_size) {
  const RandomStream stream(seed, Purpose::generate);
  RandomTrees trees;
  trees.packed.subtree_end.assign(static_cast<size_t>(count), count);
  std::vector<int32_t> path;
  for (int32_t i = 0; i < count; ++i) {
    const auto at = static_cast<uint32_t>(i);
    if (!path.empty() && stream.integer(1, 100, 0, at) <= turns) {
      const auto kept =
          static_cast<size_t>(stream.integer(0, static_cast<int64_t>(path.size()) - 1, 1, at));
      for (size_t k = kept; k < path.size(); ++k)
        trees.packed.subtree_end[static_cast<size_t>(path[k])] = i;
      path.resize(kept);
    }
    trees.parent.push_back(path.empty() ? -1 : path.back());
    trees.packed.positions.push_back(static_cast<int32_t>(path.size()));
    trees.packed.tokens.push_back(static_cast<int32_t>(stream.integer(0, vocab_size - 1, 2, at)));
    path.push_back(i);
  }
  return trees;
}

}  // namespace treepo
