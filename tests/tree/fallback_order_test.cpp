#include "tree/fallback_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "tree/scripted_growth.h"

namespace treepo {
namespace {

using Ints = std::vector<int32_t>;

RandomStream stream() {
  return {9, Purpose::fallback, 1, 0};
}

// One trajectory of each kind, with 1, 2, 3, … tokens.
SearchTree all_reasons() {
  SearchTree tree({'p'}, 8);
  int32_t tokens = 0;
  for (const StopReason reason :
       {StopReason::repetition, StopReason::length, StopReason::depth, StopReason::eos,
        StopReason::stop_string, StopReason::answer, StopReason::pruned}) {
    const int32_t node = tree.add_child(0);
    append_letters(tree, node, std::string(static_cast<size_t>(++tokens), 'a'));
    tree.stop(node, reason);
  }
  return tree;
}

constexpr int kRounds = 20000;

// How often each trajectory comes first.
std::map<int32_t, int> firsts(const SearchTree& tree, const GrowthOptions& options) {
  std::map<int32_t, int> counts;
  for (int32_t round = 0; round < kRounds; ++round) {
    const Ints order = fallback_order(tree, options, stream(), round);
    Ints sorted = order;
    std::ranges::sort(sorted);
    EXPECT_EQ(std::ranges::adjacent_find(sorted), sorted.end());
    if (!order.empty()) ++counts[order[0]];
  }
  return counts;
}

// Expected probability of each trajectory to come first, to 5 standard deviations of kRounds draws.
void expect_firsts(const GrowthOptions& options, const std::map<int32_t, double>& expected) {
  const std::map<int32_t, int> counts = firsts(all_reasons(), options);
  ASSERT_EQ(counts.size(), expected.size());
  for (const auto& [index, probability] : expected) {
    EXPECT_NEAR(counts.at(index), kRounds * probability,
                5 * std::sqrt(kRounds * probability * (1 - probability)))
        << "trajectory " << index;
  }
}

TEST(FallbackOrder, DrawsByItsWeights) {
  const double seventh = 1.0 / 7, third = 1.0 / 3;
  expect_firsts({.fallback_from = FallbackFrom::any}, {{0, seventh},
                                                       {1, seventh},
                                                       {2, seventh},
                                                       {3, seventh},
                                                       {4, seventh},
                                                       {5, seventh},
                                                       {6, seventh}});
  // Weights 2, 3, 4, 5, 6, 7, 1 of 28 in this tree; lengths 1 … 7, of 28 too.
  expect_firsts({.fallback_from = FallbackFrom::finished_first}, {{0, 2 / 28.0},
                                                                  {1, 3 / 28.0},
                                                                  {2, 4 / 28.0},
                                                                  {3, 5 / 28.0},
                                                                  {4, 6 / 28.0},
                                                                  {5, 7 / 28.0},
                                                                  {6, 1 / 28.0}});
  expect_firsts({.fallback_from = FallbackFrom::longest}, {{0, 1 / 28.0},
                                                           {1, 2 / 28.0},
                                                           {2, 3 / 28.0},
                                                           {3, 4 / 28.0},
                                                           {4, 5 / 28.0},
                                                           {5, 6 / 28.0},
                                                           {6, 7 / 28.0}});
  expect_firsts({.fallback_from = FallbackFrom::finished}, {{3, third}, {4, third}, {5, third}});
}

TEST(FallbackOrder, StrictSortsTheFinishedFirst) {
  const SearchTree tree = all_reasons();
  const GrowthOptions options{.fallback_from = FallbackFrom::finished_first_strict};
  for (int32_t round = 0; round < 50; ++round) {
    EXPECT_EQ(fallback_order(tree, options, stream(), round), (Ints{5, 4, 3, 2, 1, 0, 6}));
  }
}

// Equal weights keep their random order.
TEST(FallbackOrder, StrictDrawsAmongEquals) {
  SearchTree tree({'p'}, 4);
  for (int i = 0; i < 4; ++i) {
    const int32_t node = tree.add_child(0);
    append_letters(tree, node, "a");
    tree.stop(node, i == 0 ? StopReason::depth : StopReason::answer);
  }
  const auto counts = firsts(tree, {.fallback_from = FallbackFrom::finished_first_strict});
  ASSERT_EQ(counts.size(), 3u);
  EXPECT_EQ(counts.count(0), 0u);
  for (const int32_t index : {1, 2, 3}) EXPECT_NEAR(counts.at(index), kRounds / 3.0, 334);
}

TEST(FallbackOrder, LongAnswers) {
  const SearchTree tree = all_reasons();  // the stop string has 5 tokens, the answer 6
  const auto count = [&](int64_t windows, int64_t window) {
    const GrowthOptions options{.segment_tokens = 8,
                                .fallback_from = FallbackFrom::long_answers,
                                .fallback_min_windows = windows,
                                .fallback_window = window};
    return fallback_order(tree, options, stream(), 0).size();
  };
  EXPECT_EQ(count(5, 1), 2u);
  EXPECT_EQ(count(3, 2), 1u);
  EXPECT_EQ(count(7, 1), 0u);
  EXPECT_EQ(count(1, 0), 0u);  // a window is a segment of 8
}

// Two trajectories; only one is a candidate of each policy, so that the drawn tree shows which.
TEST(FallbackOrder, Drawn) {
  const auto draw = [](FallbackFrom from, const char* restarts) {
    StopOptions stop;
    stop.answer = "boxed";
    ScriptedGrowth drawn{.growth = {.width = 3,
                                    .depth = 3,
                                    .segment_tokens = 2,
                                    .branching_factor = 1,
                                    .fallback_from = from,
                                    .fallback_max_windows = 1},
                         .stop = stop,
                         .script = {{"p", "aa"}, {"p", "bb"}, {"paa", "cx"}, {"pbb", "."}},
                         .expected = {}};
    drawn.script.push_back({restarts, "d."});
    drawn.expected = std::string("p\n  aa\n    cx answer\n") +
                     (restarts == std::string("paa") ? "    d. eos\n" : "") + "  bb\n    . eos\n" +
                     (restarts == std::string("pbb") ? "    d. eos\n" : "") +
                     (restarts == std::string("p") ? "  d. eos\n" : "");
    SCOPED_TRACE(enum_name(from));
    drawn.check();
  };
  draw(FallbackFrom::finished_first_strict, "paa");
  draw(FallbackFrom::long_answers, "paa");
}

// Three trajectories with an answer below "aa", of 4 tokens each, and one of 12 below "bb" that
// repeats itself: one more path starts below "aa" or below "bb".
TEST(FallbackOrder, DrawnByItsWeights) {
  StopOptions stop;
  stop.answer = "boxed";
  stop.repetition = true;
  ScriptedGrowth drawn{.growth = {.width = 5,
                                  .depth = 6,
                                  .segment_tokens = 2,
                                  .branching_factor = 2,
                                  .budget = BudgetPolicy::fixed,
                                  .fallback_max_windows = 1,
                                  .fallback_copies = 1},
                       .stop = stop,
                       .split =
                           [](const SearchTree&, std::span<const int32_t> active, int32_t) {
                             return active.size() == 2 ? Ints{3, 1} : Ints{1};
                           },
                       .script = {{"p", "aa"},
                                  {"p", "bb"},
                                  {"paa", "cx"},
                                  {"paa", "dx"},
                                  {"paa", "ex"},
                                  {"pbb", "cc"},
                                  {"pbbcc", "cc"},
                                  {"pbbcccc", "cc"},
                                  {"pbbcccccc", "cc"},
                                  {"pbbcccccccc", "zz"},
                                  {"paa", "f."},
                                  {"pbbcccccccc", "f."}},
                       .expected = {}};
  const std::string tail = "  bb\n    cc\n      cc\n        cc\n          cc\n            zz";
  const auto expect = [&](FallbackFrom from, double probability) {
    SCOPED_TRACE(enum_name(from));
    drawn.growth.fallback_from = from;
    constexpr int kSeeds = 4000;
    int answered = 0;
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      const std::string grown = drawn.picture_of(seed);
      const bool below_answers = grown.find("    ex answer\n    f. eos\n") != std::string::npos;
      const bool below_other = grown.find("            f. eos\n") != std::string::npos;
      ASSERT_NE(below_answers, below_other) << grown;
      ASSERT_NE(grown.find(tail), std::string::npos) << grown;
      answered += below_answers;
    }
    EXPECT_NEAR(answered, kSeeds * probability,
                5 * std::sqrt(kSeeds * probability * (1 - probability)));
  };
  expect(FallbackFrom::any, 3.0 / 4);
  expect(FallbackFrom::finished_first, 21.0 / 23);  // weights 7, 7, 7 and 2
  expect(FallbackFrom::longest, 12.0 / 24);         // weights 4, 4, 4 and 12
  expect(FallbackFrom::finished_first_strict, 1);
  expect(FallbackFrom::finished, 1);
  expect(FallbackFrom::long_answers, 1);
}

// No trajectory finished: fallback from finished ones begins again at the prompt, one by one.
TEST(FallbackOrder, NobodyFinishedDrawn) {
  ScriptedGrowth{.growth = {.width = 3,
                            .depth = 1,
                            .segment_tokens = 2,
                            .first_split_min = 1,
                            .first_split_max = 1,
                            .fallback_from = FallbackFrom::finished},
                 .script = {{"p", "aa"}, {"p", "bb"}, {"p", "c."}},
                 .expected = "p\n  aa length\n  bb length\n  c. eos\n"}
      .check();
}

}  // namespace
}  // namespace treepo
