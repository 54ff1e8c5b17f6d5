#pragma once

#include <cstdint>
#include <vector>

namespace treepo {

// A decision to grow: `copies` new segments that continue node `parent` after its first
// parent_used_tokens tokens (0 below the root, whose prompt is always whole).
struct Branch {
  int32_t parent = 0;
  int32_t parent_used_tokens = 0;
  int32_t copies = 1;

  bool operator==(const Branch&) const = default;
};

// Appends `branch`, or adds its copies to one that leaves the tree at the same place: paths from
// one place draw their first tokens together.
void add_branch(std::vector<Branch>& branches, const Branch& branch);

}  // namespace treepo
