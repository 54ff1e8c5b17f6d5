#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "config/options.h"  // ObjectiveOptions
#include "learn/pack.h"

namespace treepo {

// Sums over trajectory tokens (a token shared by k trajectories counts k times), so that packs of
// one step add up; `mismatch_*`, `entropy_sum` etc. become means by division by `tokens`.
struct ObjectiveStatistics {
  double loss = 0;  // the normalised loss itself
  int64_t tokens = 0;
  int64_t clipped_low = 0;              // advantage < 0 and ratio below 1 - clip_low
  int64_t clipped_high = 0;             // advantage > 0 and ratio above 1 + clip_high
  int64_t dual_clipped = 0;             // advantage < 0 and ratio above the dual clip
  double ratio_sum = 0, ratio_max = 0;  // pi / pi_old
  double entropy_sum = 0;               // nats
  double kl_sum = 0;                    // k3 to the reference model
  double importance_sum = 0;            // truncated importance weights; 1 for each token when off
  // Log-probs by the trainer against those by the sampler for the same weights: before the update
  // where they were recomputed, else at this update (exact for the first after sampling only).
  double mismatch_sum = 0, mismatch_max = 0;  // |difference|
  int64_t mismatch_outside = 0;               // exp(difference) outside [0.9, 1.1]

  void add(const ObjectiveStatistics& other);
};

// Loss of one pack and its gradient with respect to what token_logprobs returns.
struct ObjectiveResult {
  std::vector<double> logprob_gradient;  // [M]
  std::vector<double> entropy_gradient;  // [S], or empty when no term depends on the entropy
  ObjectiveStatistics statistics;
};

// How a trajectory's tokens must be weighted by the packer.
LeafWeight leaf_weight(Objective kind);

// What sums over a whole optimiser step are divided by: trajectory tokens (dapo), trajectories
// (grpo), trajectories * longest allowed response (dr_grpo). Empty trajectories count as
// trajectories.
double loss_normalizer(Objective kind, int64_t trajectory_tokens, int64_t trajectories,
                       int64_t max_response_tokens);

// Policy loss summed over the trajectories of a pack and divided by `normalizer`. With A+ and A-
// the pack's weighted advantage sums, r = exp(logp - old_logp) and c the dual clip, a token gives
//   -min(r A+, clip(r) A+) + min(max(-r A-, -clip(r) A-), -c A-)
// times min(exp(old_logp - sampled_logp), importance_cap) if that is on, plus, times its weight,
//   kl_beta (exp(d) - d - 1), d = reference_logp - logp      k3: joschu.net/blog/kl-approx.html
//   -entropy_beta * entropy of the distribution it was drawn from
// Clipping: PPO, arXiv 1707.06347; dual clip: arXiv 1912.09729; clip-higher, token mean: DAPO,
// arXiv 2503.14476; sequence mean: GRPO, arXiv 2402.03300; constant length: Dr. GRPO, arXiv
// 2503.20783.
ObjectiveResult evaluate_objective(const PackedTrees& pack, std::span<const double> logprobs,
                                   std::span<const double> entropies,
                                   const ObjectiveOptions& options, double normalizer);

}  // namespace treepo
