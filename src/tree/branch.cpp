#include "tree/branch.h"

namespace treepo {

void add_branch(std::vector<Branch>& branches, const Branch& branch) {
  for (Branch& present : branches) {
    if (present.parent == branch.parent &&
        present.parent_used_tokens == branch.parent_used_tokens) {
      present.copies += branch.copies;
      return;
    }
  }
  branches.push_back(branch);
}

}  // namespace treepo
