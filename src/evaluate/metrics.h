#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace treepo {

// One sampled answer to a problem, as its verifier judged it.
struct Sample {
  double score = 0.0;  // reward
  bool correct = false;
  std::optional<std::string> answer;  // equal strings are equal answers; nullopt: none was given
};
using Samples = std::vector<Sample>;  // of one problem

// All functions are pure. Worked example: four samples of one problem, answers 7, 7, 3 and none, of
// which 7 is correct: n = 4, c = 2.

// Mean score: avg@n of the reward. n >= 1.
double mean_score(std::span<const Sample> samples);

// Share of correct samples: avg@n, an unbiased estimate of pass@1. Example: 2/4.
double mean_correct(std::span<const Sample> samples);

// Unbiased estimate of the probability that at least one of k samples is correct, from n >= k
// samples: 1 - C(n-c, k) / C(n, k) (Chen et al., "Evaluating large language models trained on
// code", arXiv 2107.03374, eq. 1). Example: pass@2 = 1 - C(2,2)/C(4,2) = 5/6.
double pass_at_k(int64_t num_samples, int64_t num_correct, int64_t k);
double pass_at_k(std::span<const Sample> samples, int64_t k);

// How right the majority answer of these samples is. Samples without an answer don't vote; without
// any vote it is 0. Answers with equally many votes count as a fair draw among them, and an answer
// as the share of its samples that are correct (all or none, for verifiers that look at the answer
// only). Example: 7 wins by 2 votes to 1 -> 1; of the answers 7 and 3, one each -> 1/2.
double majority_correct(std::span<const Sample> samples);

// maj@k: expectation of majority_correct over k samples drawn with replacement from the n,
// estimated from `resamples` draws (Self-consistency, Wang et al., arXiv 2203.11171; by bootstrap
// as in TreePO, arXiv 2508.17445). Draws are counter-based: a function of seed, problem (its number
// in the data set) and k. k, resamples >= 1.
double majority_at_k(std::span<const Sample> samples, int64_t k, int64_t resamples, uint64_t seed,
                     uint64_t problem);

struct Interval {
  double mean = 0.0, low = 0.0, high = 0.0;  // low … high: 95 %
};

// Means over problems with the uncertainty that comes from having asked just these: the percentile
// bootstrap over problems (Efron & Tibshirani, "An introduction to the bootstrap", 1993, ch. 13).
// Every mean is resampled with the same draws.
class ProblemBootstrap {
 public:
  // Throws Error where there are no problems. Keeps num_problems x resamples counts.
  ProblemBootstrap(int64_t num_problems, int64_t resamples, uint64_t seed);

  // values: one for each problem, [num_problems]. The ends are the 2.5 % and 97.5 % quantiles of
  // the resampled means, interpolated linearly.
  Interval interval(std::span<const double> values) const;

 private:
  size_t num_problems_, resamples_;
  std::vector<uint32_t> drawn_;  // [resamples, num_problems] which problem each place of it holds
};

}  // namespace treepo
