#pragma once

#include <vector>

#include "model/parameter_store.h"

namespace treepo {

// Numbers below 6e-8 are 0 in float16, and what a loss that is a mean over many tokens sends back
// to each of them is smaller than that. For float16 weights the loss's gradient is therefore taken
// times a power of two that makes the largest of the first pack about 1, and the sums, which are
// float32, are divided by it. Nothing is scaled in other types, and a power of two changes no bit
// of what would not have underflowed.
class LossScale {
 public:
  // trained: whose gradients add up; gradients must be enabled.
  explicit LossScale(ParameterStore& trained) : trained_(trained) {}

  // Multiplies what a pack's backward pass is given; the first call decides the scale.
  void apply(std::vector<double>& logprob_gradient, std::vector<double>& entropy_gradient);
  // Divides the sums; no apply() after it.
  void finish();

 private:
  ParameterStore& trained_;
  double scale_ = 0;  // 0: not decided
};

}  // namespace treepo
