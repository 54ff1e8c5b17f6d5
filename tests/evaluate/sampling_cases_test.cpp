#include "evaluate/sampling_cases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

RolloutSettings trees() {
  RolloutSettings settings;
  settings.growth = {.width = 8, .depth = 4, .segment_tokens = 16};
  settings.engine = {.max_rows = 16, .max_step_tokens = 32};
  return settings;
}

std::vector<std::string> names(const std::vector<SamplingCase>& cases) {
  std::vector<std::string> result;
  for (const SamplingCase& one : cases) result.push_back(one.name);
  return result;
}

TEST(SamplingCases, SequentialAndTreesOfTheOptions) {
  const auto cases = sampling_cases(trees(), {}, 3);
  EXPECT_THAT(names(cases), ElementsAre("sequential, w 8", "tree 4 x 16, w 8"));
  EXPECT_TRUE(cases[0].settings.growth.sequential);
  EXPECT_EQ(cases[0].baseline, -1);
  EXPECT_FALSE(cases[1].settings.growth.sequential);
  EXPECT_EQ(cases[1].baseline, 0);
}

// Every case differs from the first two in one thing, and is compared with sequential sampling of
// its own width.
TEST(SamplingCases, SweepsChangeOneThingEach) {
  const auto cases = sampling_cases(trees(),
                                    {.widths = {4, 8, 16},
                                     .shapes = {{2, 32}, {4, 16}, {8, 8}},
                                     .branching = {2, 4},
                                     .first_splits = {{2, 2}, {2, 8}},
                                     .lock_step = true},
                                    3);
  EXPECT_THAT(names(cases), ElementsAre("sequential, w 8", "tree 4 x 16, w 8",
                                        "sequential, w 8, lock step", "tree 4 x 16, w 8, lock step",
                                        "sequential, w 4", "tree 4 x 16, w 4", "sequential, w 16",
                                        "tree 4 x 16, w 16", "tree 2 x 32, w 8", "tree 8 x 8, w 8",
                                        "tree 4 x 16, b 4, w 8", "tree 4 x 16, first 2-8, w 8"));
  std::vector<int64_t> baselines;
  for (const SamplingCase& one : cases) {
    baselines.push_back(one.baseline);
    EXPECT_EQ(one.settings.growth.sequential, one.baseline < 0) << one.name;
    EXPECT_EQ(one.settings.growth.depth * one.settings.growth.segment_tokens, 64) << one.name;
  }
  EXPECT_THAT(baselines, ElementsAre(-1, 0, -1, 2, -1, 4, -1, 6, 0, 0, 0, 0));
  EXPECT_EQ(cases[3].settings.engine.max_rows, 3 * 8);
  EXPECT_EQ(cases[7].settings.growth.width, 16);
  EXPECT_EQ(cases[9].settings.growth.segment_tokens, 8);
  EXPECT_EQ(cases[10].settings.growth.branching_factor, 4);
  EXPECT_EQ(cases[11].settings.growth.first_split_max, 8);
  EXPECT_EQ(sweep_name(cases[11].sweep), "first_split");
}

TEST(SamplingCases, ShapesOfAnotherLengthAreRefused) {
  EXPECT_THAT(error_of([] {
                sampling_cases(trees(), {.shapes = {{3, 16}}}, 3);
              }),
              AllOf(HasSubstr("3x16"), HasSubstr("rollout.depth"), HasSubstr("= 64")));
  EXPECT_THAT(error_of([] {
                sampling_cases(trees(), {.shapes = {{3, 21}}}, 3);
              }),
              HasSubstr("3x21"));
}

// What would be measured under the name of a tree is one, and every sweep changes something.
TEST(SamplingCases, CasesThatWouldNotDifferAreRefused) {
  RolloutSettings settings = trees();
  settings.growth.sequential = true;
  EXPECT_THAT(error_of([&] { sampling_cases(settings, {}, 3); }),
              HasSubstr("rollout.sequential = true"));
  for (const BudgetPolicy budget : {BudgetPolicy::random, BudgetPolicy::tokens_per_step}) {
    settings = trees();
    settings.growth.budget = budget;
    const auto error = [&](const SamplingSweeps& sweeps) {
      return error_of([&] { sampling_cases(settings, sweeps, 3); });
    };
    const std::string key = "rollout.budget = " + std::string(enum_name(budget));
    EXPECT_THAT(error({.branching = {4}}), AllOf(HasSubstr(key), HasSubstr("branching")));
    EXPECT_THAT(error({.first_splits = {{2, 8}}}), AllOf(HasSubstr(key), HasSubstr("first split")));
    EXPECT_EQ(sampling_cases(settings, {.widths = {4}, .shapes = {{2, 32}}}, 3).size(), 5u);
  }
  settings.growth.budget = BudgetPolicy::fixed;
  EXPECT_EQ(sampling_cases(settings, {.branching = {4}, .first_splits = {{2, 8}}}, 3).size(), 4u);
}

TEST(SamplingCases, ShapesAndSplitsAreRead) {
  EXPECT_EQ(parse_tree_shape("14x512").depth, 14);
  EXPECT_EQ(parse_tree_shape("14x512").segment_tokens, 512);
  EXPECT_EQ(parse_split_range("2-8").max, 8);
  EXPECT_EQ(parse_split_range("3").min, 3);
  EXPECT_EQ(parse_split_range("3").max, 3);
  for (const char* wrong : {"", "14", "14x", "x5", "14x0", "14x5x2", "-1x5", "14 x 5", "axb"})
    EXPECT_THAT(error_of([&] { parse_tree_shape(wrong); }), HasSubstr("14x512")) << wrong;
  for (const char* wrong : {"", "0", "8-2", "2-", "-2", "2-4-8", "two"})
    EXPECT_THAT(error_of([&] { parse_split_range(wrong); }), HasSubstr("2-8")) << wrong;
}

}  // namespace
}  // namespace treepo
