#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "evaluate/metrics.h"

namespace treepo {

struct SummaryOptions {
  int64_t resamples = 1000;  // of samples for maj@k, and of problems for intervals
  uint64_t seed = 0;
};

struct AtK {
  int64_t k = 0;
  Interval pass, majority;  // pass@k, maj@k
};

// What an evaluation says about a data set: means over its problems with 95 % intervals.
struct EvaluationSummary {
  int64_t num_problems = 0;
  int64_t num_samples = 0;         // for each problem
  Interval score;                  // mean reward
  Interval average;                // avg@num_samples: share of correct samples (pass@1)
  std::vector<AtK> at_k;           // k = 1, 2, 4, … below num_samples, and num_samples
  std::optional<Interval> greedy;  // share of problems whose greedy answer is correct
};

// problems: the samples of each, equally many. greedy: one greedy sample for each problem, or
// empty. problem i draws its bootstrap from number i. Throws Error on zero problems or samples.
EvaluationSummary summarize(std::span<const Samples> problems, std::span<const Sample> greedy,
                            const SummaryOptions& options);

}  // namespace treepo
