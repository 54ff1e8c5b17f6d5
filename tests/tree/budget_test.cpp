#include "tree/budget.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "tree/scripted_growth.h"

namespace treepo {
namespace {

RandomStream stream(uint64_t query = 1) {
  return {9, Purpose::growth, query, 0};
}

TEST(FirstSplit, IsFixedDrawnOrTheWidth) {
  const auto split = [](const GrowthOptions& options, const GrowthFacts& facts = {}) {
    return first_split(options, facts, stream());
  };
  EXPECT_EQ(split({.width = 16, .first_split_min = 3, .first_split_max = 3}), 3);
  EXPECT_EQ(split({.width = 2, .first_split_min = 3, .first_split_max = 3}), 2);
  EXPECT_EQ(split({.width = 16, .sequential = true}), 16);
  GrowthOptions tokens{.width = 16, .segment_tokens = 10, .budget = BudgetPolicy::tokens_per_step};
  tokens.tokens_per_step = 320;
  EXPECT_EQ(split(tokens, {.trees = 4}), 8);
  EXPECT_EQ(split(tokens, {.trees = 5}), 6);  // floor(320 / 5 / 10)
  EXPECT_EQ(split(tokens, {.trees = 1}), 16);
  EXPECT_EQ(split(tokens, {.trees = 100}), 1);
  GrowthOptions bounded{.width = 16, .segment_tokens = 10, .first_split_min = 5};
  bounded.first_split_max = 5;
  bounded.limit = WidthLimit::tokens;
  bounded.token_budget = 39;
  EXPECT_EQ(split(bounded), 3);  // 39 tokens are 3 segments
}

// Whichever paths stop at the barrier, as trajectories or discarded, and whatever is drawn there;
// and no smaller number would do.
TEST(Budget, TheLargestNextBudgetIsReachedAndNeverExceeded) {
  std::mt19937 random(6);
  const auto pick = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
  };
  for (int round = 0; round < 2000; ++round) {
    GrowthOptions options{.width = pick(1, 24), .segment_tokens = 10};
    options.branching_factor = pick(1, 4);
    options.sequential = pick(0, 9) == 0;
    options.budget = static_cast<BudgetPolicy>(pick(0, 3));
    options.branching_min = pick(1, 3);
    options.branching_max = options.branching_min + pick(0, 2);
    options.tokens_per_step = pick(1, 400);
    options.limit = static_cast<WidthLimit>(pick(0, 1));
    options.token_budget = pick(1, 400);
    const GrowthFacts facts{.trees = pick(1, 4)};
    const auto paths = static_cast<int32_t>(pick(1, 10));
    const auto trajectories = static_cast<int32_t>(pick(0, 24));
    const int32_t bound = largest_next_budget(options, facts, paths, trajectories);
    int32_t most = 0;
    for (int32_t active = 1; active <= paths; ++active) {
      const int32_t stopped = paths - active;
      for (int32_t discarded = 0; discarded <= stopped; ++discarded) {
        for (int32_t barrier = 1; barrier <= 40; ++barrier) {
          const SegmentEnd at{.active = active,
                              .trajectories = trajectories + stopped - discarded,
                              .stopped_now = stopped,
                              .active_tokens = active * 10,
                              .trajectory_tokens = trajectories * 10,
                              .barrier = barrier};
          most = std::max(most, budget_at_segment_end(options, facts, at, stream()));
        }
      }
    }
    ASSERT_LE(most, bound) << "round " << round;
    if (options.limit == WidthLimit::trajectories) {
      ASSERT_EQ(most, bound) << "round " << round;
    }
  }
}

// Uniform on 2…8: each of 7,000 draws; a false alarm beyond 5 standard deviations (147) of any of
// the 7 counts has probability below 1e-5.
TEST(FirstSplit, IsDrawnUniformly) {
  const GrowthOptions first{.width = 16, .first_split_min = 2, .first_split_max = 8};
  const GrowthOptions branching{
      .width = 16, .budget = BudgetPolicy::random, .branching_min = 2, .branching_max = 8};
  for (const GrowthOptions& options : {first, branching}) {
    std::map<int32_t, int> counts;
    for (uint64_t query = 0; query < 7000; ++query) {
      ++counts[first_split(options, {}, stream(query))];
    }
    ASSERT_EQ(counts.size(), 7u);
    EXPECT_EQ(counts.begin()->first, 2);
    for (const auto& [split, count] : counts) EXPECT_NEAR(count, 1000, 147);
    EXPECT_EQ(largest_first_split(options, {}), 8);
  }
}

int32_t budget(const GrowthOptions& options, const SegmentEnd& at, const GrowthFacts& facts = {}) {
  return budget_at_segment_end(options, facts, at, stream());
}

TEST(Budget, IsTransferred) {
  const GrowthOptions options{.width = 16, .branching_factor = 2};
  const auto total = [&](int32_t active, int32_t trajectories, int32_t stopped_now) {
    return budget(options, {active, trajectories, stopped_now});
  };
  EXPECT_EQ(total(2, 0, 0), 4);    // b A
  EXPECT_EQ(total(1, 1, 1), 4);    // b f + b A
  EXPECT_EQ(total(6, 2, 2), 14);   // U - F
  EXPECT_EQ(total(14, 2, 0), 14);  // U - F = A
  EXPECT_EQ(total(1, 0, 3), 8);    // three discarded paths are no trajectories
  EXPECT_EQ(budget({.width = 16, .branching_factor = 1}, {3, 1, 1}), 4);
  EXPECT_EQ(budget({.width = 16, .sequential = true}, {3, 1, 1}), 3);
}

TEST(Budget, IsNotTransferred) {
  const GrowthOptions options{.width = 16, .branching_factor = 2, .budget = BudgetPolicy::fixed};
  EXPECT_EQ(budget(options, {2, 0, 0}), 4);
  EXPECT_EQ(budget(options, {1, 1, 1}), 2);   // b A: what the stopped path had is lost
  EXPECT_EQ(budget(options, {9, 2, 2}), 14);  // U - F
}

// b of each step is drawn anew, uniformly: 3 values, 1,000 each, 5 standard deviations are 130.
TEST(Budget, IsDrawnForEachTreeAndStep) {
  const GrowthOptions options{
      .width = 1000, .budget = BudgetPolicy::random, .branching_min = 2, .branching_max = 4};
  std::map<int32_t, int> by_step, by_tree;
  for (int32_t i = 1; i <= 3000; ++i) {
    const SegmentEnd at{.active = 3, .trajectories = 5, .stopped_now = 2, .barrier = i};
    ++by_step[budget_at_segment_end(options, {}, at, stream())];
    ++by_tree[budget_at_segment_end(options, {}, {3, 5, 2}, stream(static_cast<uint64_t>(i)))];
  }
  for (const auto& counts : {by_step, by_tree}) {
    ASSERT_EQ(counts.size(), 3u);  // b (f + A)
    for (const int32_t b : {2, 3, 4}) EXPECT_NEAR(counts.at(b * 5), 1000, 130);
  }
}

TEST(Budget, FollowsFromTokensPerStep) {
  GrowthOptions options{.width = 16, .segment_tokens = 10, .budget = BudgetPolicy::tokens_per_step};
  options.tokens_per_step = 320;
  EXPECT_EQ(budget(options, {2, 0, 1}, {.trees = 4}), 8);
  EXPECT_EQ(budget(options, {2, 10, 0}, {.trees = 4}), 6);  // U - F
  EXPECT_EQ(budget(options, {2, 0, 0}, {.trees = 64}), 2);  // A: everyone goes on
}

TEST(Budget, UpperBoundByTokens) {
  GrowthOptions options{.width = 16, .segment_tokens = 10};
  EXPECT_EQ(upper_bound(options, {.active = 3, .trajectories = 9}), 16);
  options.limit = WidthLimit::tokens;
  options.token_budget = 200;
  options.width_min = 4;
  // 150 tokens are left, a further trajectory has (45 / 3) + 10: F + 6.
  const SegmentEnd at{.active = 3, .trajectories = 2, .active_tokens = 45, .trajectory_tokens = 50};
  EXPECT_EQ(upper_bound(options, at), 8);
  EXPECT_EQ(budget(options, at), 6);
  // 149 / 25 is a little less; mean lengths are not rounded: 150 / (46 / 3 + 10) = 5.9.
  EXPECT_EQ(upper_bound(options, {3, 2, 0, 45, 51}), 7);
  EXPECT_EQ(upper_bound(options, {3, 2, 0, 46, 50}), 7);
  // Within [width_min, width].
  EXPECT_EQ(upper_bound(options, {3, 2, 0, 45, 190}), 4);
  EXPECT_EQ(upper_bound(options, {3, 2, 0, 45, 500}), 4);
  EXPECT_EQ(upper_bound(options, {1, 2, 0, 1, 10}), 16);
  // Active paths are never cut by it.
  EXPECT_EQ(budget(options, {5, 2, 0, 45, 190}), 5);
  // No active path: further trajectories as long as those so far; without any, one segment.
  EXPECT_EQ(upper_bound(options, {.trajectories = 5, .trajectory_tokens = 100}), 10);
  EXPECT_EQ(upper_bound(options, {}), 16);
  options.sequential = true;
  EXPECT_EQ(upper_bound(options, at), 16);
}

// One path of two stops early. With transfer the other would have had four children.
TEST(Budget, FixedDrawn) {
  ScriptedGrowth{.growth = {.width = 4,
                            .depth = 2,
                            .segment_tokens = 2,
                            .budget = BudgetPolicy::fixed,
                            .fallback = FallbackPolicy::none},
                 .script = {{"p", "a."}, {"p", "bb"}, {"pbb", "cc"}, {"pbb", "dd"}},
                 .expected =
                     "p\n"
                     "  a. eos\n"
                     "  bb\n"
                     "    cc length\n"
                     "    dd length\n"}
      .check();
}

// 24 tokens for 4 trees and segments of 2: 3 paths each, from the first step on.
TEST(Budget, TokensPerStepDrawn) {
  ScriptedGrowth{
      .growth = {.width = 5,
                 .depth = 2,
                 .segment_tokens = 2,
                 .budget = BudgetPolicy::tokens_per_step,
                 .tokens_per_step = 24,
                 .fallback = FallbackPolicy::none},
      .facts = {.trees = 4},
      .script =
          {{"p", "aa"}, {"p", "b."}, {"p", "cc"}, {"paa", "dd"}, {"pcc", "ee"}, {"pcc", "ff"}},
      .expected =
          "p\n"
          "  aa\n"
          "    dd length\n"
          "  b. eos\n"
          "  cc\n"
          "    ee length\n"
          "    ff length\n"}
      .check();
}

// b = 3 at the root and at each step.
TEST(Budget, RandomDrawn) {
  ScriptedGrowth{.growth = {.width = 6,
                            .depth = 2,
                            .segment_tokens = 2,
                            .budget = BudgetPolicy::random,
                            .branching_min = 3,
                            .branching_max = 3},
                 .script = {{"p", "a."},
                            {"p", "b."},
                            {"p", "cc"},
                            {"pcc", "dd"},
                            {"pcc", "ee"},
                            {"pcc", "ff"},
                            {"pcc", "gg"}},
                 .expected =
                     "p\n"
                     "  a. eos\n"
                     "  b. eos\n"
                     "  cc\n"
                     "    dd length\n"
                     "    ee length\n"
                     "    ff length\n"
                     "    gg length\n"}
      .check();
}

// M = 12 tokens. At the barrier 2 are spent, and a further trajectory has 2 + 2: U = 1 + 2. So the
// other path gets two children rather than four.
TEST(Budget, LimitByTokensDrawn) {
  ScriptedGrowth{.growth = {.width = 8,
                            .depth = 2,
                            .segment_tokens = 2,
                            .limit = WidthLimit::tokens,
                            .token_budget = 12},
                 .script = {{"p", "a."}, {"p", "bb"}, {"pbb", "cc"}, {"pbb", "dd"}},
                 .expected =
                     "p\n"
                     "  a. eos\n"
                     "  bb\n"
                     "    cc length\n"
                     "    dd length\n"}
      .check();
}

}  // namespace
}  // namespace treepo
