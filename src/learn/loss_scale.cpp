#include "learn/loss_scale.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace treepo {

namespace {

constexpr double kMostExponent = 100;  // the scale and its inverse are numbers of float32

}  // namespace

void LossScale::apply(std::vector<double>& logprob_gradient,
                      std::vector<double>& entropy_gradient) {
  if (trained_.dtype() != at::kHalf) return;
  if (scale_ == 0) {
    double largest = 0;
    for (const double g : logprob_gradient) largest = std::max(largest, std::abs(g));
    for (const double g : entropy_gradient) largest = std::max(largest, std::abs(g));
    if (!(largest > 0) || !std::isfinite(largest)) return;
    scale_ = std::exp2(std::clamp(-std::round(std::log2(largest)), -kMostExponent, kMostExponent));
    trained_.gradients().mul_(scale_);  // what is there already
  }
  for (double& g : logprob_gradient) g *= scale_;
  for (double& g : entropy_gradient) g *= scale_;
}

void LossScale::finish() {
  if (scale_ != 0) trained_.gradients().mul_(1 / scale_);
}

}  // namespace treepo
