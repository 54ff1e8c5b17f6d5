#include "evaluate/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <random>

#include "base/random.h"
#include "support/expect_error.h"

namespace treepo {
namespace {

Sample right(std::string answer) {
  return {.score = 1.0, .correct = true, .answer = std::move(answer)};
}
Sample wrong(std::string answer) {
  return {.score = 0.0, .correct = false, .answer = std::move(answer)};
}
const Sample kNone{.score = -0.5, .correct = false, .answer = std::nullopt};

Samples draw_samples(std::mt19937& random, size_t count) {
  Samples samples;
  while (samples.size() < count) {
    switch (random() % 5) {
      case 0:
        samples.push_back(kNone);
        break;
      case 1:
        samples.push_back(right("a"));
        break;
      default:
        samples.push_back(wrong(std::string(1, static_cast<char>('b' + random() % 3))));
    }
  }
  return samples;
}

TEST(Metrics, WorkedExample) {
  const Samples samples = {right("7"), right("7"), wrong("3"), kNone};
  EXPECT_DOUBLE_EQ(mean_score(samples), 1.5 / 4);
  EXPECT_DOUBLE_EQ(mean_correct(samples), 0.5);
  EXPECT_DOUBLE_EQ(pass_at_k(samples, 1), 0.5);
  EXPECT_DOUBLE_EQ(pass_at_k(samples, 2), 5.0 / 6);
  EXPECT_DOUBLE_EQ(pass_at_k(samples, 3), 1.0);
  EXPECT_DOUBLE_EQ(majority_correct(samples), 1.0);
  EXPECT_DOUBLE_EQ(majority_correct(Samples{right("7"), wrong("3")}), 0.5);
}

// Over all subsets of k samples: the share with a correct one.
TEST(PassAtK, EqualsTheShareOfAllSubsets) {
  for (uint32_t n = 1; n <= 10; ++n) {
    for (uint32_t c = 0; c <= n; ++c) {
      for (uint32_t k = 1; k <= n; ++k) {
        int64_t subsets = 0, with_correct = 0;
        for (uint32_t subset = 0; subset < (1u << n); ++subset) {
          if (static_cast<uint32_t>(std::popcount(subset)) != k) continue;
          ++subsets;
          with_correct += (subset & ((1u << c) - 1)) != 0;  // samples 0 … c-1 are the correct ones
        }
        EXPECT_NEAR(pass_at_k(n, c, k),
                    static_cast<double>(with_correct) / static_cast<double>(subsets), 1e-14)
            << n << " " << c << " " << k;
      }
    }
  }
}

TEST(PassAtK, IsExactAtItsEnds) {
  EXPECT_EQ(pass_at_k(1000000, 0, 1000000), 0.0);
  EXPECT_EQ(pass_at_k(1000000, 1, 1000000), 1.0);
  EXPECT_NEAR(pass_at_k(1000000, 1, 1), 1e-6, 1e-15);
  EXPECT_THROW(pass_at_k(4, 5, 1), CheckFailure);
  EXPECT_THROW(pass_at_k(4, 2, 5), CheckFailure);
  EXPECT_THROW(pass_at_k(4, 2, 0), CheckFailure);
  EXPECT_THROW(mean_correct({}), CheckFailure);
}

TEST(MajorityCorrect, SharesTiesAndIgnoresAbstentions) {
  EXPECT_EQ(majority_correct({}), 0.0);
  EXPECT_EQ(majority_correct(Samples{kNone, kNone}), 0.0);
  EXPECT_EQ(majority_correct(Samples{kNone, kNone, right("7")}), 1.0) << "abstentions win nothing";
  EXPECT_EQ(majority_correct(Samples{wrong("3"), wrong("3"), right("7")}), 0.0);
  EXPECT_DOUBLE_EQ(majority_correct(Samples{right("7"), wrong("3"), wrong("4")}), 1.0 / 3);
  EXPECT_DOUBLE_EQ(
      majority_correct(Samples{wrong("3"), right("7"), wrong("4"), right("7"), wrong("3")}), 0.5);
  EXPECT_EQ(majority_correct(Samples{right(""), right(""), wrong("3")}), 1.0)
      << "an empty string is an answer";
  Sample unfinished = wrong("7");
  EXPECT_DOUBLE_EQ(majority_correct(Samples{right("7"), unfinished}), 0.5) << "judged differently";
}

// Majority of a list of samples, counted with a map.
double slow_majority(const Samples& samples) {
  std::map<std::string, std::pair<int, int>> votes;  // votes, votes of correct samples
  int most = 0;
  for (const Sample& sample : samples) {
    if (!sample.answer) continue;
    auto& [count, correct] = votes[*sample.answer];
    most = std::max(most, ++count);
    correct += sample.correct;
  }
  double sum = 0;
  int winners = 0;
  for (const auto& [answer, vote] : votes) {
    if (vote.first != most) continue;
    ++winners;
    sum += static_cast<double>(vote.second) / vote.first;
  }
  return winners == 0 ? 0.0 : sum / winners;
}

TEST(MajorityCorrect, EqualsItsSlowTwin) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    const Samples samples = draw_samples(random, random() % 9);
    ASSERT_NEAR(majority_correct(samples), slow_majority(samples), 1e-15);
  }
}

// Mean of the majority over all n^k draws with replacement.
double exact_majority_at_k(const Samples& samples, size_t k, Samples& drawn) {
  if (drawn.size() == k) return slow_majority(drawn);
  double sum = 0;
  for (const Sample& sample : samples) {
    drawn.push_back(sample);
    sum += exact_majority_at_k(samples, k, drawn);
    drawn.pop_back();
  }
  return sum / static_cast<double>(samples.size());
}

// False alarm below 2e-5 for each of 60 comparisons: 20,000 resamples, values in [0, 1], so that a
// standard deviation is at most 0.5 / sqrt(20000) = 0.0036.
TEST(MajorityAtK, ConvergesToTheMeanOverAllDraws) {
  std::mt19937 random(2);
  for (uint64_t problem = 0; problem < 12; ++problem) {
    const Samples samples = draw_samples(random, 1 + random() % 5);
    for (const size_t k : {1u, 2u, 3u, 4u, 5u}) {
      Samples drawn;
      const double exact = exact_majority_at_k(samples, k, drawn);
      EXPECT_NEAR(majority_at_k(samples, static_cast<int64_t>(k), 20000, 3, problem), exact,
                  0.0155);
    }
  }
}

TEST(MajorityAtK, DrawsByCounter) {
  std::mt19937 random(4);
  const Samples samples = draw_samples(random, 8);
  // The documented draws, made here one list at a time.
  const RandomStream stream(5, Purpose::bootstrap, 6, 4);
  double sum = 0;
  for (uint32_t resample = 0; resample < 100; ++resample) {
    Samples drawn;
    for (uint32_t i = 0; i < 4; ++i)
      drawn.push_back(samples[static_cast<size_t>(stream.integer(0, 7, resample, i))]);
    sum += slow_majority(drawn);
  }
  EXPECT_NEAR(majority_at_k(samples, 4, 100, 5, 6), sum / 100, 1e-14);
  EXPECT_EQ(majority_at_k(samples, 4, 100, 5, 6), majority_at_k(samples, 4, 100, 5, 6));
  EXPECT_NE(majority_at_k(samples, 4, 100, 5, 6), majority_at_k(samples, 4, 100, 5, 7));
}

TEST(MajorityAtK, IsCertainWhereAllAgree) {
  EXPECT_EQ(majority_at_k(Samples{right("7"), right("7")}, 16, 10, 0, 0), 1.0);
  EXPECT_EQ(majority_at_k(Samples{wrong("3"), kNone}, 16, 10, 0, 0), 0.0);
}

// Quantile of the means of all n^n equally likely resamples, with the weight of each.
std::vector<double> all_bootstrap_means(const std::vector<double>& values) {
  std::vector<double> means;
  const size_t n = values.size();
  const auto total = static_cast<size_t>(std::pow(n, n));
  for (size_t code = 0; code < total; ++code) {
    double sum = 0;
    for (size_t i = 0, rest = code; i < n; ++i, rest /= n) sum += values[rest % n];
    means.push_back(sum / static_cast<double>(n));
  }
  std::ranges::sort(means);
  return means;
}

TEST(ProblemBootstrap, ConvergesToTheQuantilesOverAllResamples) {
  const std::vector<double> values = {0.1, 0.35, 0.42, 0.8, 0.93};
  const auto means = all_bootstrap_means(values);  // 3125
  const Interval interval = ProblemBootstrap(5, 200000, 1).interval(values);
  EXPECT_NEAR(interval.mean, 0.52, 1e-15);
  // A quantile of 200,000 draws lies within ranks ± 0.15 % of its own with more than 4 standard
  // deviations.
  const auto exact = [&](double q) { return means[static_cast<size_t>(q * 3124)]; };
  EXPECT_GE(interval.low, exact(0.0235) - 1e-12);
  EXPECT_LE(interval.low, exact(0.0265) + 1e-12);
  EXPECT_GE(interval.high, exact(0.9735) - 1e-12);
  EXPECT_LE(interval.high, exact(0.9765) + 1e-12);
}

TEST(ProblemBootstrap, MatchesTheNormalIntervalForManyProblems) {
  std::vector<double> values;
  for (int i = 0; i < 1000; ++i) values.push_back(i % 10 < 3 ? 1.0 : 0.0);
  const Interval interval = ProblemBootstrap(1000, 1000, 2).interval(values);
  const double half = 1.96 * std::sqrt(0.3 * 0.7 / 1000);
  EXPECT_NEAR(interval.mean, 0.3, 1e-12);
  EXPECT_NEAR(interval.low, 0.3 - half, 0.005);
  EXPECT_NEAR(interval.high, 0.3 + half, 0.005);
}

// Of 400 data sets drawn from a known distribution, about 95 % of the intervals hold its mean. The
// binomial's 4 standard deviations, and 2 % for the percentile bootstrap's own error at n = 50.
TEST(ProblemBootstrap, CoversTheTruthAsOftenAsItClaims) {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> uniform;
  int covered = 0;
  const ProblemBootstrap bootstrap(50, 500, 4);
  for (int set = 0; set < 400; ++set) {
    std::vector<double> values(50);
    for (double& value : values) value = uniform(random);
    const Interval interval = bootstrap.interval(values);
    covered += interval.low <= 0.5 && 0.5 <= interval.high;
  }
  EXPECT_GT(covered, 400 * 0.95 - 4 * std::sqrt(400 * 0.95 * 0.05) - 8);
  EXPECT_LT(covered, 400 * 0.95 + 4 * std::sqrt(400 * 0.95 * 0.05) + 8);
}

TEST(ProblemBootstrap, HandlesOneProblemAndRefusesNone) {
  const Interval interval = ProblemBootstrap(1, 100, 0).interval(std::vector<double>{0.25});
  EXPECT_EQ(interval.low, 0.25);
  EXPECT_EQ(interval.high, 0.25);
  EXPECT_THAT(error_of([] { ProblemBootstrap(0, 100, 0); }),
              ::testing::HasSubstr("no problems to evaluate"));
}

}  // namespace
}  // namespace treepo
