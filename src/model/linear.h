#pragma once

#include <ATen/core/Tensor.h>

#include "model/kernel_choice.h"

namespace treepo {

// The decoder's matrix products. x: [N, inner]; weight: [outer, inner]; bias: [outer], residual:
// [N, outer], both left out where undefined. Differentiable.
//
// On the CPU they are a kernel of our own in inference mode (sampling): its rows do not depend on
// one another, so that a sample is the same in any batch. Otherwise (the update, and log-probs that
// are computed again for it) libtorch's products are as fast, but for bfloat16: there the kernel
// goes forward, and gradients are products in bfloat16 where the processor has instructions for it
// (avx512_bf16), in float32 where it has none. libtorch multiplies everything else: on GPUs, and
// bfloat16 on processors that multiply whole tiles (AMX).

// Where gradients of half-width parameters add up, float32, of the parameter's shape; undefined:
// autograd gets them, rounded to the parameter's dtype.
struct LinearGradients {
  at::Tensor weight, bias;
};

// Whether anything reads what a product gives, or only its backward pass is wanted.
enum class ResultUse { read, backward_only };

// x · weightᵀ + bias + residual; with ResultUse::backward_only its numbers may be anything, for it
// is not computed where that can be saved. Backward adds to `gradients` of half-width parameters,
// where they are given, without rounding and without a tensor of the weight's size; but for CPUs
// with AMX, where autograd rounds them.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {},
                  const at::Tensor& residual = {}, KernelChoice kernels = KernelChoice::best,
                  const LinearGradients& gradients = {}, ResultUse use = ResultUse::read);

// x · weightᵀ as float32, or float64 where x is that; not differentiable. The kernel's sums are not
// rounded to half width in between.
at::Tensor wide_linear(const at::Tensor& x, const at::Tensor& weight,
                       KernelChoice kernels = KernelChoice::best);

// What gradients of a product with this weight are multiplied in: its dtype, or float32 on CPUs for
// half width that they have no instructions for.
c10::ScalarType product_dtype(const at::Tensor& weight);

// grad · weight: what x · weightᵀ sends back to x. grad: [N, outer] of the weight's dtype or
// float32; weight: [outer, inner]. Returns [N, inner] of the weight's dtype.
at::Tensor input_gradient(const at::Tensor& grad, const at::Tensor& weight);

// gradient += gradᵀ · x. gradient: [outer, inner] of grad's dtype or float32; grad: [N, outer]; x:
// [N, inner] of the same dtype. Half-width operands are multiplied as they are on a GPU, and
// bfloat16 on avx512_bf16, with float32 sums that are not rounded in between; as float32 elsewhere.
void add_weight_gradient(at::Tensor gradient, const at::Tensor& grad, const at::Tensor& x);

}  // namespace treepo
