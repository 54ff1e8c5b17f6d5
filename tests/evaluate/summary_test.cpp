#include "evaluate/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace treepo {
namespace {

using ::testing::HasSubstr;

const Sample kRight{.score = 1.0, .correct = true, .answer = "7"};
const Sample kWrong{.score = 0.5, .correct = false, .answer = "3"};

TEST(Summary, WorkedExample) {
  // Two problems of four samples: 3 of 4 and 0 of 4 correct.
  const std::vector<Samples> problems = {{kRight, kRight, kWrong, kRight},
                                         {kWrong, kWrong, kWrong, kWrong}};
  const Samples greedy = {kRight, kWrong};
  const EvaluationSummary summary = summarize(problems, greedy, {.resamples = 200, .seed = 1});
  EXPECT_EQ(summary.num_problems, 2);
  EXPECT_EQ(summary.num_samples, 4);
  EXPECT_DOUBLE_EQ(summary.score.mean, (3.5 / 4 + 0.5) / 2);
  EXPECT_DOUBLE_EQ(summary.average.mean, 0.375);
  EXPECT_DOUBLE_EQ(summary.average.low, 0.0) << "both times the second problem: 1 of 4 resamples";
  EXPECT_DOUBLE_EQ(summary.average.high, 0.75);
  ASSERT_EQ(summary.at_k.size(), 3u);
  EXPECT_EQ(summary.at_k[0].k, 1);
  EXPECT_EQ(summary.at_k[1].k, 2);
  EXPECT_EQ(summary.at_k[2].k, 4);
  EXPECT_DOUBLE_EQ(summary.at_k[0].pass.mean, 0.375);
  EXPECT_DOUBLE_EQ(summary.at_k[1].pass.mean, 0.5);
  EXPECT_DOUBLE_EQ(summary.at_k[1].majority.mean, majority_at_k(problems[0], 2, 200, 1, 0) / 2);
  EXPECT_NEAR(summary.at_k[0].majority.mean, 0.375, 0.1);
  ASSERT_TRUE(summary.greedy.has_value());
  EXPECT_DOUBLE_EQ(summary.greedy->mean, 0.5);
}

TEST(Summary, TakesEveryCountOfSamples) {
  for (const auto& [count, sizes] : std::vector<std::pair<size_t, std::vector<int64_t>>>{
           {1, {1}}, {2, {1, 2}}, {3, {1, 2, 3}}, {8, {1, 2, 4, 8}}, {12, {1, 2, 4, 8, 12}}}) {
    const std::vector<Samples> problems(3, Samples(count, kRight));
    const EvaluationSummary summary = summarize(problems, {}, {.resamples = 10});
    std::vector<int64_t> got;
    for (const AtK& at : summary.at_k) {
      got.push_back(at.k);
      EXPECT_EQ(at.pass.low, 1.0);
      EXPECT_EQ(at.majority.low, 1.0);
    }
    EXPECT_EQ(got, sizes);
    EXPECT_FALSE(summary.greedy.has_value());
  }
}

TEST(Summary, IsTheSameForTheSameSeed) {
  std::vector<Samples> problems;
  for (size_t i = 0; i < 20; ++i) {
    problems.emplace_back();
    for (size_t j = 0; j < 4; ++j) problems[i].push_back((i * 7 + j * 3) % 5 < 2 ? kRight : kWrong);
  }
  const auto first = summarize(problems, {}, {.resamples = 50, .seed = 3});
  const auto second = summarize(problems, {}, {.resamples = 50, .seed = 3});
  const auto other = summarize(problems, {}, {.resamples = 50, .seed = 4});
  EXPECT_EQ(first.average.low, second.average.low);
  EXPECT_EQ(first.at_k[1].majority.mean, second.at_k[1].majority.mean);
  EXPECT_NE(first.at_k[1].majority.mean, other.at_k[1].majority.mean);
  double sum = 0;
  for (size_t i = 0; i < 20; ++i) sum += majority_at_k(problems[i], 2, 50, 3, i);
  EXPECT_NEAR(first.at_k[1].majority.mean, sum / 20, 1e-14) << "problem i draws from number i";
}

TEST(Summary, RefusesNothingToEvaluate) {
  EXPECT_THAT(error_of([] { summarize({}, {}, {}); }), HasSubstr("no problems to evaluate"));
  const std::vector<Samples> without(2);
  EXPECT_THAT(error_of([&] { summarize(without, {}, {}); }), HasSubstr("no samples to evaluate"));
  const std::vector<Samples> uneven = {{kRight}, {kRight, kWrong}};
  EXPECT_THROW(summarize(uneven, {}, {}), CheckFailure);
  const std::vector<Samples> even = {{kRight}, {kWrong}};
  EXPECT_THROW(summarize(even, Samples{kRight}, {}), CheckFailure);
}

}  // namespace
}  // namespace treepo
