#include "tree/path_facts.h"

#include <gtest/gtest.h>

#include <vector>

#include "tree/scripted_growth.h"

namespace treepo {
namespace {

// a b c d | e f, of which node 3 keeps 2 tokens of node 1: a b | C d.
SearchTree cut_tree() {
  SearchTree tree({'p'}, 4);
  append_letters(tree, tree.add_child(0), "abcd");
  append_letters(tree, tree.add_child(1), "ef");
  append_letters(tree, tree.add_child(1, 2), "Cd");
  return tree;
}

TEST(PathFacts, LastTokensAcrossSegments) {
  const SearchTree tree = cut_tree();
  EXPECT_EQ(sum_logprob(tree, 2), -15);
  EXPECT_EQ(sum_logprob(tree, 2, 3), -12);
  EXPECT_EQ(sum_logprob(tree, 2, 1), -5);
  EXPECT_EQ(sum_logprob(tree, 2, 0), 0);
  EXPECT_EQ(sum_logprob(tree, 3), -4);
  EXPECT_EQ(sum_logprob(tree, 3, 3), -4);
  EXPECT_EQ(mean_logprob(tree, 3), -1);
  EXPECT_EQ(mean_logprob(tree, 3, 2), -1.5);
  EXPECT_EQ(mean_logprob(tree, 3, 100), -1);
  EXPECT_EQ(mean_entropy(tree, 3), 0.5);
  EXPECT_EQ(mean_entropy(tree, 3, 2), 1);
}

TEST(PathFacts, ValuesComeFromTheNearestNodeWithFinishedLeaves) {
  SearchTree tree({'p'}, 4);
  const auto add = [&tree](int32_t parent, const std::string& text) {
    append_letters(tree, tree.add_child(parent), text);
    return tree.num_nodes() - 1;
  };
  const auto finish = [&](int32_t parent, StopReason reason, double score) {
    const int32_t leaf = add(parent, "a");
    tree.stop(leaf, reason);
    tree.set_score(leaf, score);
  };
  const int32_t left = add(0, "aaaa"), right = add(0, "bbbb");
  const int32_t below_left = add(left, "cccc"), below_right = add(right, "dddd");
  const std::vector<int32_t> active = {below_left, below_right};
  using Values = std::vector<double>;
  EXPECT_EQ(early_values(tree, active), (Values{kPriorValue, kPriorValue}));
  finish(left, StopReason::length, 1);         // failed paths do not count
  tree.stop(add(left, "a"), StopReason::eos);  // … nor do those without a score
  EXPECT_EQ(early_values(tree, active), (Values{kPriorValue, kPriorValue}));
  finish(left, StopReason::eos, 1);
  EXPECT_EQ(early_values(tree, active), (Values{1, 1}));  // from the root, for the right one
  finish(left, StopReason::answer, 0);
  EXPECT_EQ(early_values(tree, active), (Values{0.5, 0.5}));
  finish(right, StopReason::eos, 1);
  EXPECT_EQ(early_values(tree, active), (Values{0.5, 1}));
  finish(below_right, StopReason::stop_string, 0);
  EXPECT_EQ(early_values(tree, active), (Values{0.5, 0}));
}

}  // namespace
}  // namespace treepo
