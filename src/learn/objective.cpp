#include "learn/objective.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "learn/importance_mask.h"
#include "learn/loss_terms.h"

namespace treepo {
namespace {

// Outside this range the ratio of trainer to sampler counts as far off.
constexpr double kMismatchLow = 0.9, kMismatchHigh = 1.1;

void count_clip(Clip clip, int64_t leaves, ObjectiveStatistics& statistics) {
  if (clip == Clip::low) statistics.clipped_low += leaves;
  if (clip == Clip::high) statistics.clipped_high += leaves;
  if (clip == Clip::dual) statistics.dual_clipped += leaves;
}

// The policy terms of all trajectories through a target, by their summed advantages.
LossTerm token_ratio_term(const PackedTrees& pack, size_t t, double logprob,
                          const ObjectiveOptions& options, ObjectiveStatistics& statistics) {
  const double ratio = std::exp(logprob - pack.old_logprob[t]);
  statistics.ratio_sum += pack.num_leaves[t] * ratio;
  statistics.ratio_max = std::max(statistics.ratio_max, ratio);
  count_clip(clip_of(ratio, true, options), pack.positive_leaves[t], statistics);
  count_clip(clip_of(ratio, false, options), pack.negative_leaves[t], statistics);
  LossTerm term = policy_term(pack.positive[t], ratio, logprob, options);
  term += policy_term(pack.negative[t], ratio, logprob, options);
  return term;
}

// The same with a ratio for each trajectory.
LossTerm sequence_ratio_term(const PackedTrees& pack, size_t t, double logprob,
                             std::span<const double> ratios, const ObjectiveOptions& options,
                             ObjectiveStatistics& statistics) {
  LossTerm sum;
  const auto first = static_cast<size_t>(pack.first_trajectory[t]);
  for (size_t i = first; i < first + static_cast<size_t>(pack.num_leaves[t]); ++i) {
    const PackedTrajectory& trajectory = pack.trajectories[i];
    const double advantage =
        pack.node_advantage.empty() ? trajectory.advantage : pack.node_advantage[t];
    statistics.ratio_sum += ratios[i];
    statistics.ratio_max = std::max(statistics.ratio_max, ratios[i]);
    if (advantage == 0 || trajectory.weight == 0) continue;
    count_clip(clip_of(ratios[i], advantage > 0, options), 1, statistics);
    sum += policy_term(trajectory.weight * advantage, ratios[i], logprob, options);
  }
  return sum;
}

// `difference`: of the trainer's log-prob and the sampler's.
void count_mismatch(double difference, int64_t leaves, ObjectiveStatistics& statistics) {
  statistics.compared += leaves;
  const auto weight = static_cast<double>(leaves);
  const double size = std::abs(difference);
  statistics.mismatch_sum += weight * size;
  statistics.mismatch_k1_sum += weight * kl_term(KlEstimator::k1, difference).loss;
  statistics.mismatch_k3_sum += weight * kl_term(KlEstimator::k3, difference).loss;
  statistics.mismatch_max = std::max(statistics.mismatch_max, size);
  const double ratio = std::exp(difference);
  if (!(ratio >= kMismatchLow && ratio <= kMismatchHigh)) statistics.mismatch_outside += leaves;
}

void check_inputs(const PackedTrees& pack, std::span<const double> logprobs,
                  std::span<const double> entropies, const ObjectiveOptions& options,
                  std::span<const double> sequence_ratios) {
  const auto num_targets = static_cast<size_t>(pack.num_targets());
  const auto num_sources = static_cast<size_t>(pack.num_sources());
  TREEPO_CHECK(logprobs.size() == num_targets && entropies.size() == num_sources,
               "{} log-probs for {} targets, {} entropies for {} sources", logprobs.size(),
               num_targets, entropies.size(), num_sources);
  TREEPO_CHECK(!pack.reference_logprob.empty() || kl_loss_beta(options) == 0 || num_targets == 0,
               "a KL term without reference log-probs");
  TREEPO_CHECK(
      sequence_ratios.size() == (uses_sequence_ratio(options) ? pack.trajectories.size() : 0),
      "{} ratios for {} trajectories", sequence_ratios.size(), pack.trajectories.size());
}

}  // namespace

void ObjectiveStatistics::add(const ObjectiveStatistics& other) {
  loss += other.loss;
  tokens += other.tokens;
  clipped_low += other.clipped_low;
  clipped_high += other.clipped_high;
  dual_clipped += other.dual_clipped;
  compared += other.compared;
  masked += other.masked;
  ratio_sum += other.ratio_sum;
  ratio_max = std::max(ratio_max, other.ratio_max);
  policy_kl_sum += other.policy_kl_sum;
  entropy_sum += other.entropy_sum;
  kl_sum += other.kl_sum;
  kl_tokens += other.kl_tokens;
  importance_sum += other.importance_sum;
  mismatch_sum += other.mismatch_sum;
  mismatch_max = std::max(mismatch_max, other.mismatch_max);
  mismatch_k1_sum += other.mismatch_k1_sum;
  mismatch_k3_sum += other.mismatch_k3_sum;
  mismatch_outside += other.mismatch_outside;
}

double kl_loss_beta(const ObjectiveOptions& options) {
  return options.kl_in_reward ? 0.0 : options.kl_beta;
}

MaskedLeaves masked_leaves(const ObjectiveOptions& options) {
  return kl_loss_beta(options) == 0 && options.entropy_beta == 0 ? MaskedLeaves::dropped
                                                                 : MaskedLeaves::packed;
}

void count_masked(std::span<const TrainingTree> trees, const ObjectiveOptions& options,
                  ObjectiveStatistics& statistics) {
  for (const TrainingTree& training : trees) {
    for (size_t i = 0; i < training.masked.size(); ++i) {
      if (!training.masked[i]) continue;
      for_each_token(training, training.leaves[i], [&](double sampled, double old) {
        ++statistics.masked;
        statistics.importance_sum += importance_weight(old, sampled, options);
        count_mismatch(old - sampled, 1, statistics);
      });
    }
  }
}

LeafWeight leaf_weight(Objective kind) {
  if (kind == Objective::grpo || kind == Objective::gspo) return LeafWeight::inverse_length;
  return kind == Objective::bnpo ? LeafWeight::inverse_tree_tokens : LeafWeight::one;
}

double loss_normalizer(Objective kind, const LossCounts& counts) {
  const auto trajectories = static_cast<double>(counts.trajectories);
  switch (kind) {
    case Objective::dapo:
    case Objective::cispo:
    case Objective::reinforce_plus_plus:
      return static_cast<double>(counts.trajectory_tokens);
    case Objective::grpo:
    case Objective::gspo:
      return trajectories;
    case Objective::dr_grpo:
      return trajectories * static_cast<double>(counts.max_response_tokens);
    case Objective::bnpo:
      return static_cast<double>(counts.queries);
  }
  TREEPO_CHECK(false, "objective {}", static_cast<int>(kind));
  return 1;
}

ObjectiveResult evaluate_objective(const PackedTrees& pack, std::span<const double> logprobs,
                                   std::span<const double> entropies,
                                   const ObjectiveOptions& options, double normalizer,
                                   std::span<const double> sequence_ratios) {
  check_inputs(pack, logprobs, entropies, options, sequence_ratios);
  const bool by_sequence = uses_sequence_ratio(options);
  const double kl_beta = kl_loss_beta(options);
  const auto num_targets = static_cast<size_t>(pack.num_targets());
  ObjectiveResult result;
  ObjectiveStatistics& statistics = result.statistics;
  result.logprob_gradient.resize(num_targets);
  if (options.entropy_beta != 0)
    result.entropy_gradient.resize(static_cast<size_t>(pack.num_sources()));
  double loss = 0;
  for (size_t t = 0; t < num_targets; ++t) {
    const double logp = logprobs[t], old_logp = pack.old_logprob[t];
    const auto source = static_cast<size_t>(pack.target_source[t]);
    const double leaves = pack.num_leaves[t];

    LossTerm term = by_sequence
                        ? sequence_ratio_term(pack, t, logp, sequence_ratios, options, statistics)
                        : token_ratio_term(pack, t, logp, options, statistics);
    const double importance = importance_weight(old_logp, pack.sampled_logprob[t], options);
    // Not 0 times what may be infinite.
    term = importance == 0
               ? LossTerm{}
               : LossTerm{.loss = importance * term.loss, .slope = importance * term.slope};
    if (!pack.reference_logprob.empty()) {
      const double d = pack.reference_logprob[t] - logp;
      const LossTerm kl = kl_term(options.kl_estimator, d);
      term.loss += kl_beta * pack.weight[t] * kl.loss;
      term.slope += kl_beta * pack.weight[t] * kl.slope;
      statistics.kl_sum += leaves * kl_term(KlEstimator::k3, d).loss;
      statistics.kl_tokens += pack.num_leaves[t];
    }
    if (options.entropy_beta != 0) {
      term.loss -= options.entropy_beta * pack.weight[t] * entropies[source];
      result.entropy_gradient[source] -= options.entropy_beta * pack.weight[t] / normalizer;
    }
    loss += term.loss;
    result.logprob_gradient[t] = term.slope / normalizer;

    statistics.tokens += pack.num_leaves[t];
    statistics.policy_kl_sum += leaves * kl_term(KlEstimator::k3, logp - old_logp).loss;
    statistics.entropy_sum += leaves * entropies[source];
    statistics.importance_sum += leaves * importance;
    const bool token_masked = options.importance_mask == ImportanceMask::token && importance == 0;
    statistics.masked += token_masked ? pack.num_leaves[t] : pack.masked_leaves[t];
    const double trainer_logp = pack.old_recomputed ? old_logp : logp;
    count_mismatch(trainer_logp - pack.sampled_logprob[t], pack.num_leaves[t], statistics);
  }
  statistics.loss = loss / normalizer;
  return result;
}

}  // namespace treepo
