#include "tree/branch.h"

#include <gtest/gtest.h>

#include <vector>

namespace treepo {
namespace {

TEST(Branch, PathsFromOnePlaceAreJoined) {
  std::vector<Branch> branches;
  add_branch(branches, {.parent = 3, .parent_used_tokens = 2, .copies = 2});
  add_branch(branches, {.parent = 3, .parent_used_tokens = 4, .copies = 1});
  add_branch(branches, {.parent = 3, .parent_used_tokens = 2, .copies = 1});
  EXPECT_EQ(branches, (std::vector<Branch>{{3, 2, 3}, {3, 4, 1}}));
}

}  // namespace
}  // namespace treepo
