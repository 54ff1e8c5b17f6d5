#include "evaluate/summary.h"

#include <algorithm>

#include "base/error.h"

namespace treepo {

namespace {

std::vector<int64_t> sizes_up_to(int64_t num_samples) {
  std::vector<int64_t> sizes;
  for (int64_t k = 1; k < num_samples; k *= 2) sizes.push_back(k);
  sizes.push_back(num_samples);
  return sizes;
}

// Mean and interval of measure(samples of problem i, i).
template <typename Measure>
Interval interval_of(const ProblemBootstrap& bootstrap, std::span<const Samples> problems,
                     Measure measure) {
  std::vector<double> values;
  for (size_t i = 0; i < problems.size(); ++i) values.push_back(measure(problems[i], i));
  return bootstrap.interval(values);
}

}  // namespace

EvaluationSummary summarize(std::span<const Samples> problems, std::span<const Sample> greedy,
                            const SummaryOptions& options) {
  const ProblemBootstrap bootstrap(std::ssize(problems), options.resamples, options.seed);
  if (problems[0].empty())
    throw Error("there are no samples to evaluate", "evaluate.samples must be at least 1");
  for (const Samples& samples : problems) {
    TREEPO_CHECK(samples.size() == problems[0].size(), "{} samples beside {}", samples.size(),
                 problems[0].size());
  }
  EvaluationSummary summary;
  summary.num_problems = std::ssize(problems);
  summary.num_samples = std::ssize(problems[0]);
  summary.score = interval_of(bootstrap, problems,
                              [](const Samples& samples, size_t) { return mean_score(samples); });
  summary.average = interval_of(
      bootstrap, problems, [](const Samples& samples, size_t) { return mean_correct(samples); });
  for (const int64_t k : sizes_up_to(summary.num_samples)) {
    const auto pass = [k](const Samples& samples, size_t) { return pass_at_k(samples, k); };
    const auto majority = [&](const Samples& samples, size_t i) {
      return majority_at_k(samples, k, options.resamples, options.seed, i);
    };
    summary.at_k.push_back(
        {k, interval_of(bootstrap, problems, pass), interval_of(bootstrap, problems, majority)});
  }
  if (!greedy.empty()) {
    TREEPO_CHECK(greedy.size() == problems.size(), "{} greedy answers for {} problems",
                 greedy.size(), problems.size());
    std::vector<double> values;
    for (const Sample& sample : greedy) values.push_back(sample.correct ? 1.0 : 0.0);
    summary.greedy = bootstrap.interval(values);
  }
  return summary;
}

}  // namespace treepo
