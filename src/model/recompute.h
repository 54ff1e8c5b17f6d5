#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "model/linear.h"  // ResultUse

namespace treepo {

using TensorFunction = std::function<at::Tensor(const at::Tensor&)>;
using TailFunction = std::function<at::Tensor(const at::Tensor&, ResultUse)>;

// tail(head(x)), differentiable, of which only x is kept: backward runs both again and goes back
// through them (activation checkpointing, arXiv 1604.06174). The rows of tail's result depend on
// the same rows of its argument only, so that it runs for `rows_at_once` rows at a time, forward
// and back: no more of what it makes on the way ever exists. On the way back nobody reads what tail
// gives, and it is told so. Both functions give the same bits each
// time; what they hold stays alive until then. Gradients of leaves that they use accumulate as they
// would without, those of tail part by part. x must require a gradient for any of them to be
// computed. Backward needs torch::autograd::backward, not grad.
at::Tensor recomputed(const at::Tensor& x, TensorFunction head, TailFunction tail,
                      int64_t rows_at_once);

}  // namespace treepo
