#include "evaluate/metrics.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/error.h"
#include "base/random.h"

namespace treepo {

namespace {

// The answers of one problem numbered 0, 1, …; -1: no answer.
struct Ballot {
  std::vector<int32_t> answer;  // [n]
  int32_t num_answers = 0;
};

Ballot number_answers(std::span<const Sample> samples) {
  Ballot ballot;
  std::unordered_map<std::string_view, int32_t> numbers;
  for (const Sample& sample : samples) {
    if (!sample.answer) {
      ballot.answer.push_back(-1);
      continue;
    }
    const auto [found, is_new] = numbers.emplace(*sample.answer, ballot.num_answers);
    ballot.num_answers += is_new;
    ballot.answer.push_back(found->second);
  }
  return ballot;
}

struct Tally {
  int32_t votes = 0;
  int32_t correct = 0;  // votes from correct samples
};

double majority_of(std::span<const Tally> tallies) {
  int32_t most = 0, winners = 0;
  double right = 0.0;
  for (const Tally& tally : tallies) {
    if (tally.votes == 0 || tally.votes < most) continue;
    if (tally.votes > most) {
      most = tally.votes;
      winners = 0;
      right = 0.0;
    }
    ++winners;
    right += static_cast<double>(tally.correct) / tally.votes;
  }
  return winners == 0 ? 0.0 : right / winners;
}

// Quantile q of sorted values, interpolated linearly between neighbours.
double quantile(std::span<const double> sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

int64_t count_correct(std::span<const Sample> samples) {
  return std::ranges::count_if(samples, [](const Sample& sample) { return sample.correct; });
}

double mean_of(std::span<const double> values) {
  double sum = 0.0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

double mean_score(std::span<const Sample> samples) {
  TREEPO_CHECK(!samples.empty(), "no samples");
  double sum = 0.0;
  for (const Sample& sample : samples) sum += sample.score;
  return sum / static_cast<double>(samples.size());
}

double mean_correct(std::span<const Sample> samples) {
  TREEPO_CHECK(!samples.empty(), "no samples");
  return static_cast<double>(count_correct(samples)) / static_cast<double>(samples.size());
}

double pass_at_k(int64_t num_samples, int64_t num_correct, int64_t k) {
  TREEPO_CHECK(0 <= num_correct && num_correct <= num_samples && 1 <= k && k <= num_samples,
               "pass@{} of {} correct among {}", k, num_correct, num_samples);
  // C(n-c, k) / C(n, k) as a product of k factors (n-c-i) / (n-i), none of which can overflow.
  double none_correct = 1.0;
  for (int64_t i = 0; i < k && none_correct > 0; ++i) {
    none_correct *= static_cast<double>(std::max<int64_t>(num_samples - num_correct - i, 0)) /
                    static_cast<double>(num_samples - i);
  }
  return 1.0 - none_correct;
}

double pass_at_k(std::span<const Sample> samples, int64_t k) {
  return pass_at_k(std::ssize(samples), count_correct(samples), k);
}

double majority_correct(std::span<const Sample> samples) {
  const Ballot ballot = number_answers(samples);
  std::vector<Tally> tallies(static_cast<size_t>(ballot.num_answers));
  for (size_t i = 0; i < samples.size(); ++i) {
    if (ballot.answer[i] < 0) continue;
    Tally& tally = tallies[static_cast<size_t>(ballot.answer[i])];
    ++tally.votes;
    tally.correct += samples[i].correct;
  }
  return majority_of(tallies);
}

double majority_at_k(std::span<const Sample> samples, int64_t k, int64_t resamples, uint64_t seed,
                     uint64_t problem) {
  TREEPO_CHECK(!samples.empty() && k >= 1 && resamples >= 1, "maj@{} of {} samples, {} resamples",
               k, samples.size(), resamples);
  const Ballot ballot = number_answers(samples);
  const RandomStream random(seed, Purpose::bootstrap, problem, static_cast<uint64_t>(k));
  std::vector<Tally> tallies(static_cast<size_t>(ballot.num_answers));
  double sum = 0.0;
  for (int64_t resample = 0; resample < resamples; ++resample) {
    std::ranges::fill(tallies, Tally{});
    for (int64_t i = 0; i < k; ++i) {
      const auto drawn = static_cast<size_t>(random.integer(
          0, std::ssize(samples) - 1, static_cast<uint32_t>(resample), static_cast<uint32_t>(i)));
      if (ballot.answer[drawn] < 0) continue;
      Tally& tally = tallies[static_cast<size_t>(ballot.answer[drawn])];
      ++tally.votes;
      tally.correct += samples[drawn].correct;
    }
    sum += majority_of(tallies);
  }
  return sum / static_cast<double>(resamples);
}

ProblemBootstrap::ProblemBootstrap(int64_t num_problems, int64_t resamples, uint64_t seed) {
  if (num_problems < 1)
    throw Error("there are no problems to evaluate", "the test set is empty or was filtered empty");
  TREEPO_CHECK(resamples >= 1, "{} resamples", resamples);
  num_problems_ = static_cast<size_t>(num_problems);
  resamples_ = static_cast<size_t>(resamples);
  drawn_.resize(num_problems_ * resamples_);
  const RandomStream random(seed, Purpose::bootstrap);  // visit 0: maj@k has visits 1 on
  for (size_t at = 0; at < drawn_.size(); ++at) {
    drawn_[at] = static_cast<uint32_t>(random.integer(0, num_problems - 1,
                                                      static_cast<uint32_t>(at / num_problems_),
                                                      static_cast<uint32_t>(at % num_problems_)));
  }
}

Interval ProblemBootstrap::interval(std::span<const double> values) const {
  TREEPO_CHECK(values.size() == num_problems_, "{} values for {} problems", values.size(),
               num_problems_);
  std::vector<double> means(resamples_);
  for (size_t resample = 0; resample < resamples_; ++resample) {
    double sum = 0.0;
    for (size_t i = 0; i < num_problems_; ++i) sum += values[drawn_[resample * num_problems_ + i]];
    means[resample] = sum / static_cast<double>(num_problems_);
  }
  std::ranges::sort(means);
  return {mean_of(values), quantile(means, 0.025), quantile(means, 0.975)};
}

}  // namespace treepo
