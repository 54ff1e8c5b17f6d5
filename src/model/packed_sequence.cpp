#include "model/packed_sequence.h"

#include "base/error.h"

namespace treepo {

void PackedSequence::check_invariants() const {
  TREEPO_CHECK(positions.size() == tokens.size() && subtree_end.size() == tokens.size(),
               "{} tokens, {} positions, {} subtree ends", tokens.size(), positions.size(),
               subtree_end.size());
  std::vector<int32_t> path;  // tokens that token i sees, itself left out
  for (int32_t i = 0; i < size(); ++i) {
    const auto at = static_cast<size_t>(i);
    while (!path.empty() && subtree_end[static_cast<size_t>(path.back())] <= i) path.pop_back();
    const int32_t most = path.empty() ? size() : subtree_end[static_cast<size_t>(path.back())];
    TREEPO_CHECK(subtree_end[at] > i && subtree_end[at] <= most,
                 "token {}: subtree ends at {}, outside {}…{}", i, subtree_end[at], i + 1, most);
    TREEPO_CHECK(positions[at] == static_cast<int32_t>(path.size()),
                 "token {}: position {}, but {} tokens before it on its path", i, positions[at],
                 path.size());
    path.push_back(i);
  }
}

}  // namespace treepo
