#include "tree/fallback.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "tree/scripted_growth.h"

namespace treepo {
namespace {

RandomStream stream(uint64_t query = 1) {
  return {9, Purpose::fallback, query, 0};
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

// One trajectory "aaCb." in windows of 2; one path is missing, and restarts inside it.
ScriptedGrowth restart(FallbackPolicy place) {
  return {.growth = {.width = 2,
                     .depth = 4,
                     .segment_tokens = 4,
                     .branching_factor = 1,
                     .first_split_min = 1,
                     .first_split_max = 1,
                     .fallback = place,
                     .fallback_window = 2,
                     .fallback_max_windows = 1,
                     .fallback_block_tokens = 2},
          .script = {{"p", "aaCb"}, {"paaCb", "."}},
          .expected = {}};
}

TEST(Fallback, RandomDrawn) {
  ScriptedGrowth drawn = restart(FallbackPolicy::random);  // 3 windows, one is dropped
  drawn.script.push_back({"paaCb", "d."});
  drawn.expected = "p\n  aaCb\n    . eos\n    d. eos\n";
  drawn.check();
}

TEST(Fallback, LowestLogprobDrawn) {
  ScriptedGrowth drawn = restart(FallbackPolicy::lowest_logprob);
  drawn.script.push_back({"paaC", "d."});
  drawn.expected = "p\n  aaCb\n    . eos\n    @3 d. eos\n";
  drawn.check();
}

TEST(Fallback, HighestEntropyDrawn) {
  ScriptedGrowth drawn = restart(FallbackPolicy::highest_entropy);
  drawn.growth.fallback_max_windows = 2;
  drawn.script.push_back({"paa", "d."});
  drawn.expected = "p\n  aaCb\n    . eos\n    @2 d. eos\n";
  drawn.check();
}

// The last window begins at token 3, so that only the block of "." is left to draw.
TEST(Fallback, LastBlockDrawn) {
  for (const FallbackPolicy place : {FallbackPolicy::block, FallbackPolicy::inverse_block}) {
    ScriptedGrowth drawn = restart(place);
    drawn.script.push_back({"paaCb", "d."});
    drawn.expected = "p\n  aaCb\n    . eos\n    d. eos\n";
    drawn.check();
  }
}

// Blocks "aw", "aa", "ww", "w." of mean log-probs -11, 0, -22, -11: "ww" is drawn but for one time
// in e^11, and of inverse_block "aa".
TEST(Fallback, BlockDrawn) {
  const auto draw = [](FallbackPolicy place, const char* after, const char* restart_line) {
    ScriptedGrowth drawn = restart(place);
    drawn.growth.fallback_max_windows = 0;
    drawn.script = {{"p", "awaa"}, {"pawaa", "www."}, {after, "d."}};
    drawn.expected = std::string("p\n  awaa\n    www. eos\n") + restart_line;
    SCOPED_TRACE(enum_name(place));
    drawn.check();
  };
  draw(FallbackPolicy::block, "pawaa", "    d. eos\n");
  draw(FallbackPolicy::inverse_block, "paw", "    @2 d. eos\n");
}

// One path from the prompt at a time, whatever the copies.
TEST(Fallback, FromStartDrawn) {
  ScriptedGrowth drawn = restart(FallbackPolicy::from_start);
  drawn.growth.width = 3;
  drawn.growth.fallback_copies = 2;
  drawn.script.push_back({"p", "d."});
  drawn.script.push_back({"p", "e."});
  drawn.expected = "p\n  aaCb\n    . eos\n  d. eos\n  e. eos\n";
  drawn.check();
}

TEST(Fallback, NoneDrawn) {
  ScriptedGrowth drawn = restart(FallbackPolicy::none);
  drawn.expected = "p\n  aaCb\n    . eos\n";
  drawn.check();
}

// Three paths from one place in one round, where b would give one; and no second round.
TEST(Fallback, CopiesAndRoundsDrawn) {
  ScriptedGrowth drawn = restart(FallbackPolicy::lowest_logprob);
  drawn.growth.width = 9;
  drawn.growth.fallback_copies = 3;
  drawn.growth.fallback_max_rounds = 1;
  for (const char* segment : {"d.", "e.", "f."}) drawn.script.push_back({"paaC", segment});
  drawn.expected = "p\n  aaCb\n    . eos\n    @3 d. eos\n    @3 e. eos\n    @3 f. eos\n";
  drawn.check();
}

}  // namespace
}  // namespace treepo
