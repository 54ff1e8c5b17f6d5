#include "tree/growth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <vector>

#include "support/expect_error.h"
#include "tree/budget.h"
#include "tree/divergence.h"
#include "tree/fallback.h"
#include "tree/picture.h"
#include "tree/stop_rules.h"

namespace treepo {
namespace {

RandomStream stream(uint64_t query = 1) {
  return {9, Purpose::growth, query, 0};
}

TEST(FirstSplit, IsFixedDrawnOrTheWidth) {
  EXPECT_EQ(first_split({.width = 16, .first_split_min = 3, .first_split_max = 3}, stream()), 3);
  EXPECT_EQ(first_split({.width = 2, .first_split_min = 3, .first_split_max = 3}, stream()), 2);
  EXPECT_EQ(first_split({.width = 16, .sequential = true}, stream()), 16);
  // Uniform on 2…8: each of 7,000 draws; a false alarm beyond 5 standard deviations (29) of any of
  // the 7 counts has probability below 1e-5.
  std::map<int32_t, int> counts;
  const GrowthOptions drawn{.width = 16, .first_split_min = 2, .first_split_max = 8};
  for (uint64_t query = 0; query < 7000; ++query) ++counts[first_split(drawn, stream(query))];
  ASSERT_EQ(counts.size(), 7u);
  EXPECT_EQ(counts.begin()->first, 2);
  for (const auto& [split, count] : counts) EXPECT_NEAR(count, 1000, 147);
}

TEST(Budget, IsTransferred) {
  const GrowthOptions options{.width = 16, .branching_factor = 2};
  const auto budget = [&](int32_t active, int32_t trajectories, int32_t stopped_now) {
    return budget_at_segment_end(options, {active, trajectories, stopped_now});
  };
  EXPECT_EQ(budget(2, 0, 0), 4);    // b A
  EXPECT_EQ(budget(1, 1, 1), 4);    // b f + b A
  EXPECT_EQ(budget(6, 2, 2), 14);   // U - F
  EXPECT_EQ(budget(14, 2, 0), 14);  // U - F = A
  EXPECT_EQ(budget(1, 0, 3), 8);    // three discarded paths are no trajectories
  EXPECT_EQ(budget_at_segment_end({.width = 16, .branching_factor = 1}, {3, 1, 1}), 4);
  EXPECT_EQ(budget_at_segment_end({.width = 16, .sequential = true}, {3, 1, 1}), 3);
}

TEST(Divergence, EvenGivesTheRemainderToTheLast) {
  EXPECT_EQ(split_even(7, 3), (std::vector<int32_t>{2, 2, 3}));
  EXPECT_EQ(split_even(6, 3), (std::vector<int32_t>{2, 2, 2}));
  EXPECT_EQ(split_even(11, 3), (std::vector<int32_t>{3, 3, 5}));
  EXPECT_EQ(split_even(3, 3), (std::vector<int32_t>{1, 1, 1}));
  EXPECT_EQ(split_budget(BudgetSplit::even, 5, 2), (std::vector<int32_t>{2, 3}));
}

TEST(Branch, PathsFromOnePlaceAreJoined) {
  std::vector<Branch> branches;
  add_branch(branches, {.parent = 3, .parent_used_tokens = 2, .copies = 2});
  add_branch(branches, {.parent = 3, .parent_used_tokens = 4, .copies = 1});
  add_branch(branches, {.parent = 3, .parent_used_tokens = 2, .copies = 1});
  EXPECT_EQ(branches, (std::vector<Branch>{{3, 2, 3}, {3, 4, 1}}));
}

// A path of 11 tokens: 4 + 4 + 3; below it one that left the second segment after 2 tokens.
SearchTree comb() {
  SearchTree tree({'p'}, 4);
  const auto add = [&tree](int32_t parent, int32_t used, int32_t tokens) {
    const int32_t id = tree.add_child(parent, used);
    for (int32_t i = 0; i < tokens; ++i) tree.append(id, 'a' + id, 0, 0);
    return id;
  };
  add(add(add(0, 0, 4), 4, 4), 4, 3);  // nodes 1, 2, 3
  add(2, 2, 4);                        // node 4
  return tree;
}

TEST(Fallback, KeepsWholeWindows) {
  std::map<int32_t, int> kept;
  for (int32_t i = 0; i < 3000; ++i) ++kept[draw_kept_tokens(11, 4, 0, stream(), 0, i)];
  // 1, 2 or 3 windows are dropped, each with probability 1/3 (5 standard deviations: 130).
  ASSERT_EQ(kept.size(), 3u);
  for (const int32_t tokens : {0, 4, 8}) EXPECT_NEAR(kept[tokens], 1000, 130);
  kept.clear();
  for (int32_t i = 0; i < 3000; ++i) ++kept[draw_kept_tokens(11, 4, 2, stream(), 0, i)];
  EXPECT_EQ(kept.size(), 2u);  // at most two windows: 4 or 8 are kept
  EXPECT_EQ(kept.count(0), 0u);
  EXPECT_EQ(draw_kept_tokens(12, 4, 1, stream(), 0, 0), 8);  // below the path's length
  EXPECT_EQ(draw_kept_tokens(3, 4, 0, stream(), 0, 0), 0);   // shorter than a window: the prompt
}

TEST(Fallback, CutsPaths) {
  const SearchTree tree = comb();
  const auto cut = [&](int32_t leaf, int32_t kept, int64_t depth = 9) {
    const Cut place = cut_path(tree, leaf, kept, depth);
    return std::pair(place.parent, place.parent_used_tokens);
  };
  EXPECT_EQ(cut(3, 10), std::pair(3, 2));
  EXPECT_EQ(cut(3, 8), std::pair(2, 4));  // at a segment's end: a child with all its tokens
  EXPECT_EQ(cut(3, 7), std::pair(2, 3));
  EXPECT_EQ(cut(3, 4), std::pair(1, 4));
  EXPECT_EQ(cut(3, 1), std::pair(1, 1));
  EXPECT_EQ(cut(3, 0), std::pair(0, 0));
  EXPECT_EQ(cut(4, 8), std::pair(4, 2));
  EXPECT_EQ(cut(4, 6), std::pair(2, 2));  // where this path left node 2
  EXPECT_EQ(cut(4, 5), std::pair(2, 1));
  // With depth 3 a cut inside the third segment leaves none for a new one: up to 2 segments.
  EXPECT_EQ(cut(3, 10, 3), std::pair(2, 4));
  EXPECT_EQ(cut(4, 8, 3), std::pair(2, 2));
  EXPECT_EQ(cut(3, 8, 3), std::pair(2, 4));
  EXPECT_EQ(cut(3, 10, 2), std::pair(1, 4));
  EXPECT_EQ(cut(3, 10, 1), std::pair(0, 0));
}

TEST(Fallback, WithoutTrajectories) {
  SearchTree tree({'p'}, 4);
  EXPECT_EQ(fallback_branches(tree, 5, {.width = 5}, stream(), 0),
            (std::vector<Branch>{{0, 0, 1}}));
  EXPECT_EQ(fallback_branches(tree, 5, {.width = 5, .sequential = true}, stream(), 0),
            (std::vector<Branch>{{0, 0, 5}}));
  EXPECT_TRUE(
      fallback_branches(tree, 5, {.width = 5, .fallback = FallbackPolicy::none}, stream(), 0)
          .empty());
  EXPECT_TRUE(fallback_branches(tree, 0, {.width = 5}, stream(), 0).empty());
}

// Candidates give b paths each, the last one what is missing; once around at most. All orders of
// the candidates occur.
TEST(Fallback, CandidatesInRandomOrder) {
  SearchTree tree({'p'}, 1);
  for (int32_t leaf = 1; leaf <= 3; ++leaf) {
    tree.append(tree.add_child(0), 'a', 0, 0);
    tree.append(tree.add_child(2 * leaf - 1), 'b', 0, 0);
    tree.stop(2 * leaf, StopReason::eos);
  }
  const GrowthOptions options{.width = 16,
                              .depth = 9,
                              .segment_tokens = 1,
                              .branching_factor = 2,
                              .fallback_max_windows = 1};
  std::map<std::vector<int32_t>, int> orders;
  for (int32_t round = 0; round < 6000; ++round) {
    const std::vector<Branch> three = fallback_branches(tree, 3, options, stream(), round);
    ASSERT_EQ(three.size(), 2u);
    EXPECT_EQ(three[0].copies, 2);
    EXPECT_EQ(three[1].copies, 1);
    const std::vector<Branch> all = fallback_branches(tree, 13, options, stream(), round);
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(all[2].copies, 2);
    ++orders[{all[0].parent, all[1].parent, all[2].parent}];
  }
  // 6 orders, 1000 each; 5 standard deviations: 145.
  ASSERT_EQ(orders.size(), 6u);
  for (const auto& [order, count] : orders) EXPECT_NEAR(count, 1000, 145);
}

TEST(TreeGrowth, NamesTheOptionThatIsOutOfRange) {
  EXPECT_EQ(error_of([] { check_growth_options({.depth = 0}); }),
            "rollout.depth is 0 | it must lie between 1 and 16777216");
  EXPECT_NE(error_of([] {
              check_growth_options({.first_split_min = 5, .first_split_max = 4});
            }).find("rollout.first_split_max is 4 | it must lie between 5"),
            std::string::npos);
}

// A tree that grows at random, without model or engine: paths stop where a coin says so.
class RandomTree {
 public:
  RandomTree(const GrowthOptions& options, const StopOptions& stop, double stop_rate, uint32_t seed)
      : options_(options), stop_(stop), stop_rate_(stop_rate), random_(seed) {}

  SearchTree grow() {
    const StopRules rules = make_stop_rules(options_, stop_);
    SearchTree tree({'p'}, rules.segment_tokens);
    TreeGrowth growth(options_, 1, 2, 3);
    std::vector<int32_t> active;
    int32_t stopped = 0;
    for (std::vector<Branch> branches = growth.start(); !branches.empty();
         branches = growth.next(tree, active, stopped)) {
      check_branches(tree, branches, active, stopped);
      const int32_t first = tree.num_nodes();
      for (const Branch& branch : branches) {
        for (int32_t i = 0; i < branch.copies; ++i) {
          tree.add_child(branch.parent, branch.parent_used_tokens);
        }
      }
      active.clear();
      stopped = 0;
      for (int32_t node = first; node < tree.num_nodes(); ++node)
        decode(tree, rules, node, active, stopped);
      ++barriers;
      EXPECT_LE(barriers, (kMaxFallbackRounds + 1) * rules.depth);
    }
    return tree;
  }

  int32_t barriers = 0, fallbacks = 0;

 private:
  void decode(SearchTree& tree, const StopRules& rules, int32_t node, std::vector<int32_t>& active,
              int32_t& stopped) {
    TokenFacts token;
    do {
      token.eos = std::uniform_real_distribution<>(0, 1)(random_) < stop_rate_;
      tree.append(node, static_cast<int32_t>(random_() % 100), 0, 0);
    } while (!ends_segment(rules, tree.node(node), token));
    const StopReason reason = judge_segment(rules, tree.node(node), token, {});
    if (reason == StopReason::none) {
      active.push_back(node);
    } else {
      tree.stop(node, reason, is_too_short(rules, tree.node(node)));
      ++stopped;
    }
  }

  void check_branches(const SearchTree& tree, const std::vector<Branch>& branches,
                      const std::vector<int32_t>& active, int32_t stopped) {
    const auto trajectories = static_cast<int32_t>(tree.leaves().size());
    int32_t total = 0;
    for (const Branch& branch : branches) {
      EXPECT_GE(branch.copies, 1);
      EXPECT_LT(tree.node(branch.parent).depth, options_.depth);
      total += branch.copies;
    }
    EXPECT_LE(total + trajectories, options_.width);
    if (tree.num_nodes() == 1) return;
    if (active.empty()) {
      ++fallbacks;
      EXPECT_LT(trajectories, options_.width);
      return;
    }
    ASSERT_EQ(branches.size(), active.size());  // every active path goes on
    for (size_t i = 0; i < active.size(); ++i) {
      EXPECT_EQ(branches[i].parent, active[i]);
      EXPECT_EQ(branches[i].parent_used_tokens, tree.node(active[i]).num_tokens);
    }
    EXPECT_EQ(total, budget_at_segment_end(
                         options_, {static_cast<int32_t>(active.size()), trajectories, stopped}));
  }

  GrowthOptions options_;
  StopOptions stop_;
  double stop_rate_;
  std::mt19937 random_;
};

// In thousands of random situations: never more than w trajectories, exactly w unless paths are
// discarded or fallback is off, always an end, at least one child for each active path, budgets
// that add up, no path beyond depth or length, and the same tree for the same seed.
TEST(TreeGrowth, KeepsItsPromises) {
  std::mt19937 random(5);
  const auto pick = [&random](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
  };
  int64_t fallbacks = 0, short_of_width = 0;
  for (uint32_t round = 0; round < 5000; ++round) {
    GrowthOptions options{
        .width = pick(1, 24),
        .depth = pick(1, 8),
        .segment_tokens = pick(1, 6),
        .branching_factor = pick(1, 4),
        .first_split_min = pick(1, 4),
        .sequential = pick(0, 5) == 0,
        .fallback = pick(0, 4) == 0 ? FallbackPolicy::none : FallbackPolicy::random,
        .fallback_window = pick(0, 8),
        .fallback_max_windows = pick(0, 3)};
    options.first_split_max = options.first_split_min + pick(0, 4);
    StopOptions stop;
    stop.response_tokens = pick(0, 1) * pick(1, 20);
    stop.min_response_tokens = pick(0, 2) == 0 ? pick(1, 12) : 0;
    const double stop_rate = 0.05 * static_cast<double>(pick(0, 10));
    RandomTree grower(options, stop, stop_rate, round);
    const SearchTree tree = grower.grow();
    tree.check_invariants();
    const auto width = static_cast<size_t>(options.width);
    EXPECT_LE(tree.leaves().size(), width);
    if (options.fallback != FallbackPolicy::none && stop.min_response_tokens == 0) {
      EXPECT_EQ(tree.leaves().size(), width);
    }
    short_of_width += tree.leaves().size() < width;
    fallbacks += grower.fallbacks;
    const StopRules rules = make_stop_rules(options, stop);
    for (int32_t id = 1; id < tree.num_nodes(); ++id) {
      EXPECT_LE(tree.node(id).depth, options.depth);
      EXPECT_LE(tree.path_tokens(id), rules.response_tokens);
    }
    EXPECT_EQ(picture(RandomTree(options, stop, stop_rate, round).grow()), picture(tree));
    if (HasFailure()) {
      FAIL() << "round " << round << "\n" << picture(tree);
    }
  }
  EXPECT_GT(fallbacks, 5000);
  EXPECT_GT(short_of_width, 200);
}

// All paths are too short for ever: the tree ends all the same.
TEST(TreeGrowth, EndsEvenIfEverythingIsDiscarded) {
  StopOptions stop;
  stop.min_response_tokens = 1000;
  RandomTree grower({.width = 8, .depth = 4, .segment_tokens = 3}, stop, 0.1, 1);
  const SearchTree tree = grower.grow();
  EXPECT_TRUE(tree.leaves().empty());
  EXPECT_EQ(grower.fallbacks, kMaxFallbackRounds);
}

}  // namespace
}  // namespace treepo
