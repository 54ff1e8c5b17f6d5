#include "learn/importance_mask.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace treepo {
namespace {

// Not a number counts as outside.
bool inside_band(double log_ratio, const ObjectiveOptions& options) {
  const double ratio = std::exp(log_ratio);
  return ratio >= options.importance_mask_low && ratio <= options.importance_mask_high;
}

// Sum of old_logp - sampled_logp over a trajectory's tokens.
double path_log_ratio(const TrainingTree& training, int32_t leaf) {
  double sum = 0;
  for_each_token(training, leaf, [&](double sampled, double old) { sum += old - sampled; });
  return sum;
}

}  // namespace

double importance_weight(double old_logprob, double sampled_logprob,
                         const ObjectiveOptions& options) {
  const double log_ratio = old_logprob - sampled_logprob;
  if (options.importance_mask == ImportanceMask::token && !inside_band(log_ratio, options))
    return 0.0;
  if (options.importance_cap <= 0) return 1.0;
  return std::min(std::exp(log_ratio), options.importance_cap);
}

void mask_trajectories(std::span<TrainingTree> trees, const ObjectiveOptions& options) {
  const bool geometric = options.importance_mask == ImportanceMask::geometric;
  if (!geometric && options.importance_mask != ImportanceMask::sequence) return;
  for (TrainingTree& training : trees) {
    TREEPO_CHECK(!training.old_logprobs.empty(), "a mask without recomputed log-probs");
    training.masked.clear();
    for (const int32_t leaf : training.leaves) {
      const double sum = path_log_ratio(training, leaf);
      const double tokens = training.tree->path_tokens(leaf);
      training.masked.push_back(!inside_band(geometric ? sum / tokens : sum, options));
    }
  }
}

}  // namespace treepo
