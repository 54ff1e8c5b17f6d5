#pragma once

#include <span>

#include "config/options.h"  // ObjectiveOptions
#include "learn/pack.h"

// What the mismatch of sampler and trainer does to the policy loss. The importance ratio of a token
// is exp(old_logp - sampled_logp): both of the weights that sampled, by the trainer and by the
// sampler. Truncated weights: Yao et al. 2025, fengyao.notion.site/off-policy-rl; masks of tokens:
// IcePop, arXiv 2510.18855.
namespace treepo {

// Weight of a token in the policy loss: min(ratio, importance_cap) if the cap is on, else 1; 0
// where importance_mask = token and the ratio lies outside the band.
double importance_weight(double old_logprob, double sampled_logprob,
                         const ObjectiveOptions& options);

// importance_mask = sequence or geometric: sets TrainingTree::masked for trajectories whose ratio
// lies outside the band. Log-probs must have been recomputed. What a mask leaves out still counts
// in the loss's divisor, so that nothing else weighs more for it.
void mask_trajectories(std::span<TrainingTree> trees, const ObjectiveOptions& options);

}  // namespace treepo
