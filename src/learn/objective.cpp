#include "learn/objective.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace treepo {
namespace {

// Outside this range the ratio of trainer to sampler counts as far off.
constexpr double kMismatchLow = 0.9, kMismatchHigh = 1.1;

// A token's loss and its derivative with respect to logp; d ratio / d logp = ratio.
struct Term {
  double loss = 0, slope = 0;
};

Term positive_term(double ratio, double advantage, const ObjectiveOptions& options) {
  const double ceiling = 1.0 + options.clip_high;
  if (ratio > ceiling) {
    return {.loss = -ceiling * advantage};
  }
  return {.loss = -ratio * advantage, .slope = -ratio * advantage};
}

bool beyond_dual_clip(double ratio, const ObjectiveOptions& options) {
  return options.dual_clip > 0 && ratio > options.dual_clip;
}

Term negative_term(double ratio, double advantage, const ObjectiveOptions& options) {
  const double floor = 1.0 - options.clip_low;
  if (beyond_dual_clip(ratio, options)) {
    return {.loss = -options.dual_clip * advantage};
  }
  if (ratio < floor) {
    return {.loss = -floor * advantage};
  }
  return {.loss = -ratio * advantage, .slope = -ratio * advantage};
}

Term policy_term(const PackedTrees& pack, size_t t, double ratio, double importance,
                 const ObjectiveOptions& options) {
  Term term;
  if (pack.positive[t] > 0) term = positive_term(ratio, pack.positive[t], options);
  if (pack.negative[t] < 0) {
    const Term negative = negative_term(ratio, pack.negative[t], options);
    term.loss += negative.loss;
    term.slope += negative.slope;
  }
  return {.loss = importance * term.loss, .slope = importance * term.slope};
}

void count_clips(const PackedTrees& pack, size_t t, double ratio, const ObjectiveOptions& options,
                 ObjectiveStatistics& statistics) {
  if (ratio > 1.0 + options.clip_high) statistics.clipped_high += pack.positive_leaves[t];
  if (ratio < 1.0 - options.clip_low) statistics.clipped_low += pack.negative_leaves[t];
  if (beyond_dual_clip(ratio, options)) statistics.dual_clipped += pack.negative_leaves[t];
}

void count_mismatch(double difference, int64_t leaves, ObjectiveStatistics& statistics) {
  const double size = std::abs(difference);
  statistics.mismatch_sum += size * static_cast<double>(leaves);
  statistics.mismatch_max = std::max(statistics.mismatch_max, size);
  const double ratio = std::exp(difference);
  if (!(ratio >= kMismatchLow && ratio <= kMismatchHigh)) statistics.mismatch_outside += leaves;
}

}  // namespace

void ObjectiveStatistics::add(const ObjectiveStatistics& other) {
  loss += other.loss;
  tokens += other.tokens;
  clipped_low += other.clipped_low;
  clipped_high += other.clipped_high;
  dual_clipped += other.dual_clipped;
  ratio_sum += other.ratio_sum;
  ratio_max = std::max(ratio_max, other.ratio_max);
  entropy_sum += other.entropy_sum;
  kl_sum += other.kl_sum;
  importance_sum += other.importance_sum;
  mismatch_sum += other.mismatch_sum;
  mismatch_max = std::max(mismatch_max, other.mismatch_max);
  mismatch_outside += other.mismatch_outside;
}

LeafWeight leaf_weight(Objective kind) {
  return kind == Objective::grpo ? LeafWeight::inverse_length : LeafWeight::one;
}

double loss_normalizer(Objective kind, int64_t trajectory_tokens, int64_t trajectories,
                       int64_t max_response_tokens) {
  switch (kind) {
    case Objective::dapo:
      return static_cast<double>(trajectory_tokens);
    case Objective::grpo:
      return static_cast<double>(trajectories);
    case Objective::dr_grpo:
      return static_cast<double>(trajectories) * static_cast<double>(max_response_tokens);
  }
  TREEPO_CHECK(false, "objective {}", static_cast<int>(kind));
  return 1;
}

ObjectiveResult evaluate_objective(const PackedTrees& pack, std::span<const double> logprobs,
                                   std::span<const double> entropies,
                                   const ObjectiveOptions& options, double normalizer) {
  const auto num_targets = static_cast<size_t>(pack.num_targets());
  const auto num_sources = static_cast<size_t>(pack.num_sources());
  TREEPO_CHECK(logprobs.size() == num_targets && entropies.size() == num_sources,
               "{} log-probs for {} targets, {} entropies for {} sources", logprobs.size(),
               num_targets, entropies.size(), num_sources);
  const bool with_kl = !pack.reference_logprob.empty();
  TREEPO_CHECK(with_kl || options.kl_beta == 0 || num_targets == 0,
               "a KL term without reference log-probs");

  ObjectiveResult result;
  ObjectiveStatistics& statistics = result.statistics;
  result.logprob_gradient.resize(num_targets);
  if (options.entropy_beta != 0) result.entropy_gradient.resize(num_sources);
  double loss = 0;
  for (size_t t = 0; t < num_targets; ++t) {
    const double logp = logprobs[t], old_logp = pack.old_logprob[t];
    const double sampled_logp = pack.sampled_logprob[t];
    const double ratio = std::exp(logp - old_logp);
    const double importance =
        options.importance_cap > 0
            ? std::min(std::exp(old_logp - sampled_logp), options.importance_cap)
            : 1.0;
    Term term = policy_term(pack, t, ratio, importance, options);

    const auto source = static_cast<size_t>(pack.target_source[t]);
    const double leaves = pack.num_leaves[t];
    if (with_kl) {
      const double d = pack.reference_logprob[t] - logp;
      const double kl = std::expm1(d) - d;
      term.loss += options.kl_beta * pack.weight[t] * kl;
      term.slope -= options.kl_beta * pack.weight[t] * std::expm1(d);
      statistics.kl_sum += leaves * kl;
    }
    if (options.entropy_beta != 0) {
      term.loss -= options.entropy_beta * pack.weight[t] * entropies[source];
      result.entropy_gradient[source] -= options.entropy_beta * pack.weight[t] / normalizer;
    }
    loss += term.loss;
    result.logprob_gradient[t] = term.slope / normalizer;

    statistics.tokens += pack.num_leaves[t];
    statistics.ratio_sum += leaves * ratio;
    statistics.ratio_max = std::max(statistics.ratio_max, ratio);
    statistics.entropy_sum += leaves * entropies[source];
    statistics.importance_sum += leaves * importance;
    count_clips(pack, t, ratio, options, statistics);
    const double trainer_logp = pack.old_recomputed ? old_logp : logp;
    count_mismatch(trainer_logp - sampled_logp, pack.num_leaves[t], statistics);
  }
  statistics.loss = loss / normalizer;
  return result;
}

}  // namespace treepo
