#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/kernel_choice.h"

namespace treepo {

// The decoder's own operations, differentiable. On the CPU in float32, float64 and bfloat16 they
// are single passes of our own, as on CUDA devices in bfloat16 and float16; elsewhere plain tensor
// operations. Input of half width is computed in float32.

// x / sqrt(mean(x²) + eps) * weight over the last dimension; x: [..., n], weight: [n].
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                    KernelChoice kernels = KernelChoice::best);

// Rotary embedding of the first `rotated_heads` heads of x: [N, heads, head_dim]; dimension i turns
// with i + head_dim / 2. table: [N, head_dim], cosines then sines of each row's head_dim / 2
// angles.
at::Tensor rotate(const at::Tensor& x, const at::Tensor& table, int64_t rotated_heads,
                  KernelChoice kernels = KernelChoice::best);

// silu(gate) * up of gate_up: [N, 2 * n], gate first. Returns [N, n].
at::Tensor swiglu(const at::Tensor& gate_up, KernelChoice kernels = KernelChoice::best);

}  // namespace treepo
