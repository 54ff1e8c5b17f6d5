#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/kernel_choice.h"

namespace treepo {

struct TokenLogprobs {
  at::Tensor logprob;  // [M] log softmax(logits / temperature) of each target
  at::Tensor entropy;  // [S] nats, of the distribution that each source predicts
};

// Log-probs of targets and entropies at their sources, both differentiable, without a tensor of all
// logits: `chunk` sources at a time are projected to [chunk, V], forward and again in backward,
// once each however many targets they have.
//   hidden         [N, H] float64, float32, bfloat16 or float16
//   head_weight    [V, H] the same
//   source_row     [S] int64 rows of hidden, ascending
//   target_source  [M] int64 indices into source_row, ascending
//   target_token   [M] int64
// Where `weight_gradient` is defined ([V, H], of the softmax's dtype) backward adds the gradient of
// head_weight to it, and autograd sees none: that saves tensors of the weight's size.
// The index tensors lie on the CPU. Softmax and results are float32 for half types, else of
// hidden's dtype; on a GPU logits of half types are rounded to them. Repeated runs give the same
// bits.
TokenLogprobs token_logprobs(const at::Tensor& hidden, const at::Tensor& head_weight,
                             const at::Tensor& source_row, const at::Tensor& target_source,
                             const at::Tensor& target_token, double temperature, int64_t chunk,
                             const at::Tensor& weight_gradient = {},
                             KernelChoice kernels = KernelChoice::best);

struct TargetScores {
  at::Tensor logprob;      // [M] as above, temperature 1
  at::Tensor most_likely;  // [M] bool: no other token has a larger logit
};

// The same targets without gradients.
TargetScores score_targets(const at::Tensor& hidden, const at::Tensor& head_weight,
                           const at::Tensor& source_row, const at::Tensor& target_source,
                           const at::Tensor& target_token, int64_t chunk);

}  // namespace treepo
