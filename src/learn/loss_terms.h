#pragma once

#include "config/options.h"  // ObjectiveOptions

namespace treepo {

// A loss, and its derivative with respect to the log-prob of the token that it belongs to.
struct LossTerm {
  double loss = 0, slope = 0;

  LossTerm& operator+=(const LossTerm& other);
};

// Whether an objective's ratio is one for each trajectory: for gspo, or where it is asked for.
bool uses_sequence_ratio(const ObjectiveOptions& options);

// Which bound takes the place of the ratio of new to old policy.
enum class Clip { none, low, high, dual };

// For a token whose advantage is above (positive) or below 0.
Clip clip_of(double ratio, bool positive, const ObjectiveOptions& options);

// With A the advantage, r the ratio and clip(r) = min(max(r, 1 - clip_low), 1 + clip_high):
//   cispo       -A clip(r) logp, where clip(r) is a constant: every token keeps a gradient
//               (MiniMax-M1, arXiv 2506.13585)
//   the others  max(-A r, -A clip(r)), for A < 0 at most -A dual_clip
//               (PPO, arXiv 1707.06347; dual clip, arXiv 1912.09729)
// A times a number is the same as the term times it, for numbers above 0.
//
// The derivative takes r for exp(logp - …), also where r is a trajectory's: with s_i = exp(mean of
// logp - old_logp), a token's share of the derivative of length · loss(s_i) is A s_i (GSPO, arXiv
// 2507.18071, whose Eq. for tokens this is where tokens have advantages of their own).
LossTerm policy_term(double advantage, double ratio, double logprob,
                     const ObjectiveOptions& options);

// Estimates of KL(policy || reference) at a token that the policy drew, d = reference_logp - logp:
//   k1 -d    k2 d² / 2    k3 exp(d) - d - 1      Schulman 2020, joschu.net/blog/kl-approx.html
// The derivative is that of the estimate itself, as TRL and verl have it. On tokens of the policy
// its mean is 0 for k1 (the value is unbiased, the gradient only noise), the gradient of
// KL(policy || reference) for k2, and of KL(reference || policy) for k3.
LossTerm kl_term(KlEstimator estimator, double d);

}  // namespace treepo
