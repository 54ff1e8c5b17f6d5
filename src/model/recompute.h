#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace treepo {

using TensorFunction = std::function<at::Tensor(const at::Tensor&)>;

// f(x), differentiable, of which only x is kept: backward runs f again and goes back through that
// (activation checkpointing, arXiv 1604.06174). f gives the same bits each time; what it holds
// stays alive until then. Gradients of leaves that f uses accumulate as they would without. x must
// require a gradient for any of them to be computed. Backward needs torch::autograd::backward, not
// grad.
at::Tensor recomputed(const at::Tensor& x, TensorFunction f);

}  // namespace treepo
