#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "config/options.h"  // ObjectiveOptions
#include "learn/pack.h"

namespace treepo {

// Sums over trajectory tokens (a token shared by k trajectories counts k times), so that packs of
// one step add up; `ratio_sum`, `entropy_sum` etc. become means by division by `tokens`,
// `mismatch_sum` and its neighbours by `compared`.
struct ObjectiveStatistics {
  double loss = 0;  // the normalised loss itself
  int64_t tokens = 0;
  int64_t clipped_low = 0;              // advantage < 0 and ratio below 1 - clip_low
  int64_t clipped_high = 0;             // advantage > 0 and ratio above 1 + clip_high
  int64_t dual_clipped = 0;             // advantage < 0 and ratio above the dual clip
                                        // (cispo clips low and high whatever the sign)
  double ratio_sum = 0, ratio_max = 0;  // pi / pi_old, of tokens or of their trajectories
  double policy_kl_sum = 0;             // k3 of KL(pi_old || pi), by tokens whatever the ratio
  double entropy_sum = 0;               // nats
  double kl_sum = 0;                    // to the reference model, k3 whatever the loss has…
  int64_t kl_tokens = 0;                // …over so many tokens: 0 without a reference
  // The following are of so many tokens: also of masked trajectories that were not run.
  int64_t compared = 0;
  int64_t masked = 0;         // left out by objective.importance_mask
  double importance_sum = 0;  // truncated importance weights; 1 for each token when off
  // Log-probs by the trainer against those by the sampler for the same weights: before the update
  // where they were recomputed, else at this update (exact for the first after sampling only).
  double mismatch_sum = 0, mismatch_max = 0;        // |difference|
  double mismatch_k1_sum = 0, mismatch_k3_sum = 0;  // of KL(sampler || trainer): kl_term
  int64_t mismatch_outside = 0;                     // exp(difference) outside [0.9, 1.1]

  void add(const ObjectiveStatistics& other);
};

// Loss of one pack and its gradient with respect to what token_logprobs returns.
struct ObjectiveResult {
  std::vector<double> logprob_gradient;  // [M]
  std::vector<double> entropy_gradient;  // [S], or empty when no term depends on the entropy
  ObjectiveStatistics statistics;
};

// Weight of the KL term of the loss: 0 where the reward has it (learn/kl_reward.h).
double kl_loss_beta(const ObjectiveOptions& options);

// Masked trajectories need not be packed where no other term than the policy's has a weight.
MaskedLeaves masked_leaves(const ObjectiveOptions& options);

// Counts the masked trajectories of the trees as evaluate_objective does, from log-probs that they
// bring, which must be recomputed.
void count_masked(std::span<const TrainingTree> trees, const ObjectiveOptions& options,
                  ObjectiveStatistics& statistics);

// How a trajectory's tokens must be weighted by the packer.
LeafWeight leaf_weight(Objective kind);

// Of a whole optimiser step. Trajectories without tokens count, queries without trajectories do
// not.
struct LossCounts {
  int64_t trajectory_tokens = 0, trajectories = 0, queries = 0;
  int64_t max_response_tokens = 0;  // longest response that is allowed
};

// What sums over a step are divided by:
//   dapo, cispo, reinforce_plus_plus  trajectory tokens             DAPO, arXiv 2503.14476
//   grpo, gspo                        trajectories                  GRPO, arXiv 2402.03300
//   dr_grpo                           trajectories * longest        Dr. GRPO, arXiv 2503.20783
//   bnpo                              queries; each is the mean over its tokens, as TRL's bnpo with
//                                     the trajectories of one query as its local batch
double loss_normalizer(Objective kind, const LossCounts& counts);

// Policy loss summed over the trajectories of a pack and divided by `normalizer`: policy_term
// (learn/loss_terms.h) for each token of each trajectory times its weight and importance_weight
// (learn/importance_mask.h), plus, times its weight,
//   kl_loss_beta * kl_term   and   -entropy_beta * entropy of the distribution it was drawn from.
// With the ratio of tokens, r = exp(logp - old_logp) is one number for all trajectories through a
// token and policy_term is linear in advantages of one sign, so that the sums A+ and A- do for all.
// `sequence_ratios`: those of pack.trajectories where uses_sequence_ratio(options); else empty.
ObjectiveResult evaluate_objective(const PackedTrees& pack, std::span<const double> logprobs,
                                   std::span<const double> entropies,
                                   const ObjectiveOptions& options, double normalizer,
                                   std::span<const double> sequence_ratios = {});

}  // namespace treepo
