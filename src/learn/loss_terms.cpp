#include "learn/loss_terms.h"

#include <cmath>

#include "base/error.h"

namespace treepo {

LossTerm& LossTerm::operator+=(const LossTerm& other) {
  loss += other.loss;
  slope += other.slope;
  return *this;
}

bool uses_sequence_ratio(const ObjectiveOptions& options) {
  if (options.ratio == RatioLevel::automatic) return options.kind == Objective::gspo;
  return options.ratio == RatioLevel::sequence;
}

Clip clip_of(double ratio, bool positive, const ObjectiveOptions& options) {
  const bool high = ratio > 1.0 + options.clip_high, low = ratio < 1.0 - options.clip_low;
  if (options.kind == Objective::cispo) return high ? Clip::high : low ? Clip::low : Clip::none;
  if (positive) return high ? Clip::high : Clip::none;
  if (options.dual_clip > 0 && ratio > options.dual_clip) return Clip::dual;
  return low ? Clip::low : Clip::none;
}

LossTerm policy_term(double advantage, double ratio, double logprob,
                     const ObjectiveOptions& options) {
  if (advantage == 0) return {};
  const Clip clip = clip_of(ratio, advantage > 0, options);
  double bounded = ratio;
  if (clip == Clip::low) bounded = 1.0 - options.clip_low;
  if (clip == Clip::high) bounded = 1.0 + options.clip_high;
  if (clip == Clip::dual) bounded = options.dual_clip;
  const double weight = -bounded * advantage;
  if (options.kind == Objective::cispo) return {.loss = weight * logprob, .slope = weight};
  return {.loss = weight, .slope = clip == Clip::none ? weight : 0.0};
}

LossTerm kl_term(KlEstimator estimator, double d) {
  switch (estimator) {
    case KlEstimator::k1:
      return {.loss = -d, .slope = 1.0};
    case KlEstimator::k2:
      return {.loss = 0.5 * d * d, .slope = -d};
    case KlEstimator::k3:
      return {.loss = std::expm1(d) - d, .slope = -std::expm1(d)};
  }
  TREEPO_CHECK(false, "KL estimator {}", static_cast<int>(estimator));
  return {};
}

}  // namespace treepo
