#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "config/options.h"  // OptimizerOptions

namespace treepo {

// A run of elements in the flat weights that is treated alike.
struct ParameterRange {
  int64_t begin = 0, end = 0;
  bool decay = true;
};

// Everything a checkpoint must hold to go on bit by bit.
struct AdamWState {
  at::Tensor first_moment, second_moment;  // [weights], float32, or float64 for float64 weights
  at::Tensor master;                       // bf16/f16 weights: their float32 copy; else undefined
  int64_t steps = 0;                       // updates made, skipped ones not counted
};

struct StepReport {
  double gradient_norm = 0;  // before clipping
  bool skipped = false;      // the norm was not finite; weights and state are untouched
};

// AdamW (arXiv 1711.05101) on flat tensors with the arithmetic of torch.optim.AdamW: decoupled
// weight decay, bias correction, epsilon outside the root; gradients clipped by global norm as
// torch.nn.utils.clip_grad_norm_ does. One pass over memory for the norm and one for the update, in
// which a float32 copy of half-width weights is rounded to them (float64 on a GPU: by tensor
// operations). The result depends on neither the number of threads nor the order of their work.
class AdamW {
 public:
  // weights and gradients: flat, contiguous, of one size and device; gradients of half-width
  // weights are float32, else both have one dtype. The optimiser keeps references to both. Elements
  // outside all ranges (padding) stay as they are.
  AdamW(at::Tensor weights, at::Tensor gradients, std::vector<ParameterRange> ranges,
        const OptimizerOptions& options);

  // Takes one step with the gradients as they are; does not clear them.
  StepReport step(double learning_rate);

  const AdamWState& state() const { return state_; }
  // Throws Error if the shapes or dtypes are another model's.
  void restore(const AdamWState& state);

 private:
  void update(double learning_rate, double gradient_scale);
  void update_on_cpu(double learning_rate, double gradient_scale);

  at::Tensor weights_, gradients_;
  std::vector<ParameterRange> ranges_;
  OptimizerOptions options_;
  AdamWState state_;
};

// Global L2 norm in double: sums over fixed blocks, added in order.
double gradient_norm(const at::Tensor& gradients);

}  // namespace treepo
