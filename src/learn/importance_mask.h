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

// Calls f(sampled_logp, old_logp) for each token of the trajectory that ends at `leaf`. Log-probs
// must have been recomputed.
template <typename F>
void for_each_token(const TrainingTree& training, int32_t leaf, F f) {
  const SearchTree& tree = *training.tree;
  const auto path = tree.path(leaf);
  const auto used = tree.path_used_tokens(leaf);
  for (size_t n = 1; n < path.size(); ++n) {
    const auto sampled = tree.logprobs(path[n]);
    const auto slot = static_cast<size_t>(int64_t{path[n]} * tree.segment_tokens());
    for (size_t offset = 0; offset < static_cast<size_t>(used[n]); ++offset)
      f(sampled[offset], training.old_logprobs.at(slot + offset));
  }
}

// importance_mask = sequence or geometric: sets TrainingTree::masked for trajectories whose ratio
// lies outside the band. Log-probs must have been recomputed. What a mask leaves out still counts
// in the loss's divisor, so that nothing else weighs more for it.
void mask_trajectories(std::span<TrainingTree> trees, const ObjectiveOptions& options);

}  // namespace treepo
