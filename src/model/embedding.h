#pragma once

#include <ATen/core/Tensor.h>

namespace treepo {

// Rows `tokens` (int64 [N]) of weight [V, H], differentiable. Where `gradient` is defined ([V, H],
// float32 or float64) backward adds to its rows, in the order of the tokens, and no other tensor of
// the weight's size is made; otherwise autograd gets a dense gradient.
at::Tensor embedding_rows(const at::Tensor& weight, const at::Tensor& tokens,
                          const at::Tensor& gradient);

}  // namespace treepo
