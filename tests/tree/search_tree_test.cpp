#include "tree/search_tree.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "support/expect_error.h"
#include "tree/picture.h"

namespace treepo {
namespace {

void append_all(SearchTree& tree, int32_t node, const std::string& letters) {
  for (const char letter : letters) tree.append(node, letter, -0.1 * letter, 0.01 * letter);
}

std::string text(const std::vector<int32_t>& tokens) {
  return {tokens.begin(), tokens.end()};
}

// The tree drawn in search_tree.h.
SearchTree drawn_tree() {
  SearchTree tree({'p', 'q'}, 4);
  append_all(tree, tree.add_child(0), "AAAA");
  append_all(tree, tree.add_child(0), "EE.");
  append_all(tree, tree.add_child(1), "BBB.");
  append_all(tree, tree.add_child(1), "CCCC");
  append_all(tree, tree.add_child(1, 2), "DDD.");
  tree.stop(2, StopReason::eos);
  tree.stop(3, StopReason::eos);
  tree.stop(5, StopReason::eos);
  return tree;
}

TEST(SearchTree, HoldsTheDrawnTree) {
  const SearchTree tree = drawn_tree();
  tree.check_invariants();
  EXPECT_EQ(picture(tree),
            "pq\n"
            "  AAAA\n"
            "    BBB. eos\n"
            "    CCCC\n"
            "    @2 DDD. eos\n"
            "  EE. eos\n");
  EXPECT_EQ(tree.leaves(), (std::vector<int32_t>{2, 3, 5}));
  EXPECT_EQ(text(tree.response(3)), "AAAABBB.");
  EXPECT_EQ(text(tree.response(5)), "AADDD.");
  EXPECT_EQ(tree.response(0), std::vector<int32_t>{});
  EXPECT_EQ(tree.path(5), (std::vector<int32_t>{0, 1, 5}));
  EXPECT_EQ(tree.path(0), std::vector<int32_t>{0});
  EXPECT_EQ(tree.path_used_tokens(5), (std::vector<int32_t>{0, 2, 4}));
  EXPECT_EQ(tree.path_used_tokens(3), (std::vector<int32_t>{0, 4, 4}));
  EXPECT_EQ(tree.path_tokens(5), 6);
  EXPECT_EQ(tree.response_logprobs(5)[1], -0.1 * 'A');
  EXPECT_EQ(tree.response_logprobs(5)[2], -0.1 * 'D');
  EXPECT_EQ(tree.entropies(5)[3], 0.01 * '.');
  EXPECT_EQ(tree.unique_tokens(), 19);
  EXPECT_EQ(tree.trajectory_tokens(), 3 + 8 + 6);
}

TEST(SearchTree, KeepsItsContentWhenMovedAndShrunk) {
  SearchTree tree = drawn_tree();
  const std::string before = picture(tree);
  tree.shrink_to_fit();
  const SearchTree moved = std::move(tree);
  moved.check_invariants();
  EXPECT_EQ(picture(moved), before);
}

// A leaf may be passed through by others, as in the oracles; a discarded path is no trajectory.
TEST(SearchTree, LeafAtAnInnerNodeAndDiscardedPaths) {
  SearchTree tree({'p'}, 4);
  append_all(tree, tree.add_child(0), "aaaa");
  append_all(tree, tree.add_child(1), "b.");
  append_all(tree, tree.add_child(0), ".");
  tree.stop(1, StopReason::answer);
  tree.stop(3, StopReason::eos, /*discarded=*/true);
  tree.stop(2, StopReason::eos);
  tree.check_invariants();
  EXPECT_EQ(tree.leaves(), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(tree.trajectory_tokens(), 4 + 6);
  EXPECT_EQ(tree.unique_tokens(), 7);
}

TEST(SearchTree, RefusesWhatMakesNoTree) {
  SearchTree tree = drawn_tree();
  EXPECT_THROW(tree.add_child(6), CheckFailure);
  EXPECT_THROW(tree.add_child(2, 4), CheckFailure);  // EE. has 3
  EXPECT_THROW(tree.add_child(1, 0), CheckFailure);  // that would be a child of the root
  EXPECT_THROW(tree.append(1, 7, 0, 0), CheckFailure);
  EXPECT_THROW(tree.append(0, 7, 0, 0), CheckFailure);
  EXPECT_THROW(tree.stop(2, StopReason::depth), CheckFailure);
  EXPECT_THROW(tree.stop(4, StopReason::none), CheckFailure);
  tree.check_invariants();
}

TEST(StopReason, NamesGoBothWays) {
  for (const char* name :
       {"none", "answer", "eos", "stop_string", "length", "depth", "repetition", "pruned"}) {
    EXPECT_EQ(stop_reason_name(stop_reason_from_name(name)), name);
  }
  EXPECT_TRUE(is_finished(stop_reason_from_name("stop_string")));
  EXPECT_TRUE(is_finished(StopReason::answer) && is_finished(StopReason::eos));
  EXPECT_FALSE(is_finished(StopReason::length) || is_finished(StopReason::none));
  EXPECT_NE(error_of([] { stop_reason_from_name("eoss"); }).find("\"eoss\""), std::string::npos);
}

// Against a twin that keeps every path's text apart.
TEST(SearchTree, EqualsATwinOfStrings) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const int32_t segment = 1 + static_cast<int32_t>(random() % 6);
    SearchTree tree({'p'}, segment);
    std::vector<std::string> own = {""}, prefix = {""};
    for (int step = 0; step < 60; ++step) {
      const auto node = static_cast<int32_t>(random() % own.size());
      const auto n = static_cast<size_t>(node);
      if (random() % 3 == 0 && (node == 0 || !own[n].empty())) {
        const auto used = node == 0 ? 0 : 1 + static_cast<int32_t>(random() % own[n].size());
        tree.add_child(node, used);
        prefix.push_back(prefix[n] + own[n].substr(0, static_cast<size_t>(used)));
        own.emplace_back();
      } else if (node > 0 && static_cast<int32_t>(own[n].size()) < segment) {
        const char letter = static_cast<char>('a' + random() % 26);
        tree.append(node, letter, 0, 0);
        own[n] += letter;
      }
      tree.check_invariants();
    }
    for (size_t n = 0; n < own.size(); ++n) {
      EXPECT_EQ(text(tree.response(static_cast<int32_t>(n))), prefix[n] + own[n]);
    }
  }
}

}  // namespace
}  // namespace treepo
