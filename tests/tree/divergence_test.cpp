#include "tree/divergence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "tree/scripted_growth.h"

namespace treepo {
namespace {

using Ints = std::vector<int32_t>;
using Numbers = std::vector<double>;

TEST(Divergence, EvenGivesTheRemainderToTheLast) {
  EXPECT_EQ(split_even(7, 3), (Ints{2, 2, 3}));
  EXPECT_EQ(split_even(6, 3), (Ints{2, 2, 2}));
  EXPECT_EQ(split_even(11, 3), (Ints{3, 3, 5}));
  EXPECT_EQ(split_even(3, 3), (Ints{1, 1, 1}));
}

TEST(Divergence, WeightedByLargestRemainder) {
  EXPECT_EQ(split_weighted(Numbers{0, std::log(2.0)}, 8, 1), (Ints{3, 5}));
  // Shares of 3: 0.6, 0.6, 1.8, that is 0, 0, 1 and the fractions .8, .6, .6: ties go to the first.
  EXPECT_EQ(split_weighted(Numbers{0, 0, std::log(3.0)}, 6, 1), (Ints{2, 1, 3}));
  // Temperature 2 takes the root of the ratio: 1 to 2.
  EXPECT_EQ(split_weighted(Numbers{0, std::log(4.0)}, 8, 2), (Ints{3, 5}));
  EXPECT_EQ(split_weighted(Numbers{-5000, -9000}, 6, 2), (Ints{5, 1}));
  EXPECT_EQ(split_weighted(Numbers{1, 1, 1}, 3, 2), (Ints{1, 1, 1}));
  EXPECT_EQ(split_weighted(Numbers{1}, 9, 2), (Ints{9}));
}

// Whatever the scores: an exact sum, each path its share rounded down or up, and up only where no
// larger fraction was rounded down.
TEST(Divergence, WeightedAddsUpWhateverTheScores) {
  std::mt19937 random(3);
  int rounded_both_ways = 0;
  for (int round = 0; round < 20000; ++round) {
    Numbers scores(1 + random() % 20);
    const double spread = std::pow(10.0, static_cast<double>(random() % 7) - 3);
    for (double& score : scores) {
      score = random() % 4 == 0 ? 0 : spread * (static_cast<double>(random() % 2001) - 1000);
    }
    const auto paths = static_cast<int32_t>(scores.size());
    const int32_t total = paths + static_cast<int32_t>(random() % 60);
    const double temperature = 0.1 + static_cast<double>(random() % 50);
    const Ints children = split_weighted(scores, total, temperature);
    ASSERT_EQ(std::accumulate(children.begin(), children.end(), 0), total);
    const double highest = *std::ranges::max_element(scores);
    double sum = 0;
    for (const double score : scores) sum += std::exp((score - highest) / temperature);
    double smallest_up = 1, largest_down = 0;  // fractions
    for (size_t i = 0; i < scores.size(); ++i) {
      const double share = (total - paths) * std::exp((scores[i] - highest) / temperature) / sum;
      ASSERT_GE(children[i], 1);
      const double added = children[i] - 1 - share;
      ASSERT_LT(std::abs(added), 1 + 1e-9);
      if (added > 1e-9) smallest_up = std::min(smallest_up, 1 - added);
      if (added < -1e-9) largest_down = std::max(largest_down, -added);
      for (size_t j = 0; j < scores.size(); ++j) {
        if (scores[i] > scores[j]) {
          ASSERT_GE(children[i], children[j]);  // more for higher scores
        }
      }
    }
    ASSERT_GE(smallest_up, largest_down - 1e-9);
    rounded_both_ways += smallest_up < 1 && largest_down > 0;
  }
  EXPECT_GT(rounded_both_ways, 5000);
}

TEST(Divergence, TemperatureOverTraining) {
  GrowthOptions options{.divergence_schedule = TemperatureSchedule::constant,
                        .divergence_temperature = 2.5,
                        .divergence_temperature_low = 1,
                        .divergence_temperature_high = 5};
  EXPECT_EQ(divergence_temperature(options, 0.3), 2.5);
  options.divergence_schedule = TemperatureSchedule::ascending;
  EXPECT_DOUBLE_EQ(divergence_temperature(options, 0), 1);
  EXPECT_DOUBLE_EQ(divergence_temperature(options, 0.5), 3);
  EXPECT_DOUBLE_EQ(divergence_temperature(options, 1), 5);
  EXPECT_NEAR(divergence_temperature(options, 0.25), 3 - std::sqrt(2.0), 1e-12);
  options.divergence_schedule = TemperatureSchedule::descending;  // the paper's: from 5 to 1
  EXPECT_DOUBLE_EQ(divergence_temperature(options, 0), 5);
  EXPECT_DOUBLE_EQ(divergence_temperature(options, 1), 1);
  EXPECT_NEAR(divergence_temperature(options, 0.25), 3 + std::sqrt(2.0), 1e-12);
}

// Two paths go on, two stop; two children are free, and at this temperature one path gets both:
//   path    log-prob  of its last segment  entropy of the next letter
//   ea aa   -4        0                    0 (a)
//   aa bb   -2        -2                   2 (C)
TEST(Divergence, ByLogprobAndEntropyDrawn) {
  const auto draw = [](BudgetSplit policy, int first, int second) {
    ScriptedGrowth drawn{.growth = {.width = 6,
                                    .depth = 3,
                                    .segment_tokens = 2,
                                    .branching_factor = 1,
                                    .first_split_min = 4,
                                    .first_split_max = 4,
                                    .divergence = policy,
                                    .divergence_temperature = 0.1},
                         .script = {{"p", "ea"},
                                    {"p", "aa"},
                                    {"p", "ff"},
                                    {"p", "gg"},
                                    {"pea", "aa"},
                                    {"paa", "bb"},
                                    {"pff", "."},
                                    {"pgg", "."}},
                         .expected = {}};
    drawn.expected = "p\n  ea\n    aa\n";
    for (int i = 0; i < first; ++i) {
      drawn.script.push_back({"peaaa", "aa"});
      drawn.expected += "      aa length\n";
    }
    drawn.expected += "  aa\n    bb\n";
    for (int i = 0; i < second; ++i) {
      drawn.script.push_back({"paabb", "CC"});
      drawn.expected += "      CC length\n";
    }
    drawn.expected += "  ff\n    . eos\n  gg\n    . eos\n";
    SCOPED_TRACE(enum_name(policy));
    drawn.check();
  };
  draw(BudgetSplit::even, 2, 2);
  draw(BudgetSplit::low_logprob, 3, 1);
  draw(BudgetSplit::high_logprob, 1, 3);
  draw(BudgetSplit::low_mean_logprob, 3, 1);
  draw(BudgetSplit::high_mean_logprob, 1, 3);
  draw(BudgetSplit::low_segment_logprob, 1, 3);
  draw(BudgetSplit::high_segment_logprob, 3, 1);
  draw(BudgetSplit::low_entropy, 3, 1);
  draw(BudgetSplit::high_entropy, 1, 3);
}

// "C" was drawn from a distribution of entropy 2, "B" of 1, "a" of 0. Two children are free beside
// one for each path: at a low temperature both go to one path, at a high one each gets one.
struct Entropies {
  GrowthOptions growth{.width = 4,
                       .depth = 2,
                       .segment_tokens = 2,
                       .divergence = BudgetSplit::high_segment_entropy,
                       .divergence_temperature = 0.1};
  GrowthFacts facts{};

  void expect_children(int of_b, int of_c) const {
    ScriptedGrowth drawn{.growth = growth,
                         .facts = facts,
                         .script = {{"p", "aB"}, {"p", "aC"}},
                         .expected = "p\n  aB\n"};
    for (int i = 0; i < of_b; ++i) {
      drawn.script.push_back({"paB", "dd"});
      drawn.expected += "    dd length\n";
    }
    drawn.expected += "  aC\n";
    for (int i = 0; i < of_c; ++i) {
      drawn.script.push_back({"paC", "ee"});
      drawn.expected += "    ee length\n";
    }
    drawn.check();
  }
};

TEST(Divergence, BySegmentEntropyDrawn) {
  Entropies drawn;
  drawn.expect_children(1, 3);
  drawn.growth.divergence = BudgetSplit::low_segment_entropy;
  drawn.expect_children(3, 1);
}

TEST(Divergence, SchedulesDrawn) {
  Entropies drawn;
  drawn.growth.divergence_temperature_low = 0.1;
  drawn.growth.divergence_temperature_high = 100;
  for (const double share : {0.0, 1.0}) {
    SCOPED_TRACE(share);
    drawn.facts.training_share = share;
    drawn.growth.divergence_schedule = TemperatureSchedule::constant;
    drawn.expect_children(1, 3);
    drawn.growth.divergence_schedule = TemperatureSchedule::ascending;
    share == 0 ? drawn.expect_children(1, 3) : drawn.expect_children(2, 2);
    drawn.growth.divergence_schedule = TemperatureSchedule::descending;
    share == 0 ? drawn.expect_children(2, 2) : drawn.expect_children(1, 3);
  }
}

// The finished leaf beside "dd" was verified, that beside "ff" was not.
TEST(Divergence, ByValueDrawn) {
  const auto draw = [](BudgetSplit policy, int first, int second) {
    ScriptedGrowth drawn{
        .growth = {.width = 6,
                   .depth = 3,
                   .segment_tokens = 2,
                   .divergence = policy,
                   .divergence_temperature = 0.1},
        .script =
            {{"p", "aa"}, {"p", "bb"}, {"paa", "c!"}, {"paa", "dd"}, {"pbb", "e."}, {"pbb", "ff"}},
        .expected = "p\n  aa\n    c! eos\n    dd\n"};
    for (int i = 0; i < first; ++i) {
      drawn.script.push_back({"paadd", "gg"});
      drawn.expected += "      gg length\n";
    }
    drawn.expected += "  bb\n    e. eos\n    ff\n";
    for (int i = 0; i < second; ++i) {
      drawn.script.push_back({"pbbff", "hh"});
      drawn.expected += "      hh length\n";
    }
    SCOPED_TRACE(enum_name(policy));
    drawn.check();
  };
  draw(BudgetSplit::high_value, 3, 1);
  draw(BudgetSplit::low_value, 1, 3);
}

// Paths with given segments, for the scores themselves.
SearchTree two_segments() {
  SearchTree tree({'p'}, 2);
  append_letters(tree, tree.add_child(0), "ea");    // node 1
  append_letters(tree, tree.add_child(0), "aa");    // node 2
  append_letters(tree, tree.add_child(1), "aa");    // node 3: e a a a
  append_letters(tree, tree.add_child(2), "bb");    // node 4: a a b b
  append_letters(tree, tree.add_child(3, 1), "c");  // node 5: e a a c, leaves node 3 after 1
  return tree;
}

TEST(Divergence, Scores) {
  SearchTree tree = two_segments();
  const Ints active = {3, 4, 5};
  const auto scores = [&](BudgetSplit policy) { return path_scores(policy, tree, active); };
  EXPECT_EQ(scores(BudgetSplit::high_logprob), (Numbers{-4, -2, -6}));
  EXPECT_EQ(scores(BudgetSplit::low_logprob), (Numbers{4, 2, 6}));
  EXPECT_EQ(scores(BudgetSplit::high_mean_logprob), (Numbers{-1, -0.5, -1.5}));
  EXPECT_EQ(scores(BudgetSplit::low_mean_logprob), (Numbers{1, 0.5, 1.5}));
  EXPECT_EQ(scores(BudgetSplit::high_segment_logprob), (Numbers{0, -1, -1}));  // "aa", "bb", "ac"
  EXPECT_EQ(scores(BudgetSplit::low_segment_logprob), (Numbers{0, 1, 1}));
  tree.set_next_entropy(3, 0.25);
  tree.set_next_entropy(4, 2);
  tree.set_next_entropy(5, 1);
  EXPECT_EQ(scores(BudgetSplit::high_entropy), (Numbers{0.25, 2, 1}));
  EXPECT_EQ(scores(BudgetSplit::low_entropy), (Numbers{-0.25, -2, -1}));
  EXPECT_EQ(scores(BudgetSplit::high_value), (Numbers{0.5, 0.5, 0.5}));
  SearchTree letters({'p'}, 2);
  append_letters(letters, letters.add_child(0), "CE");  // node 1
  append_letters(letters, letters.add_child(1), "D");   // node 2: the last 2 tokens are "ED"
  const Ints paths = {1, 2};
  EXPECT_EQ(path_scores(BudgetSplit::high_segment_entropy, letters, paths), (Numbers{3, 3.5}));
  EXPECT_EQ(path_scores(BudgetSplit::low_segment_entropy, letters, paths), (Numbers{-3, -3.5}));
  append_letters(tree, tree.add_child(1), "!");  // node 6, below node 1
  tree.stop(6, StopReason::eos);
  tree.set_score(6, 1);
  append_letters(tree, tree.add_child(0), ".");  // node 7, below the root
  tree.stop(7, StopReason::eos);
  tree.set_score(7, 0);
  EXPECT_EQ(scores(BudgetSplit::high_value), (Numbers{1, 0.5, 1}));
  EXPECT_EQ(scores(BudgetSplit::low_value), (Numbers{-1, -0.5, -1}));
}

}  // namespace
}  // namespace treepo
