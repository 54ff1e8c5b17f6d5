#pragma once

#include <ATen/core/Tensor.h>

namespace treepo {

// The decoder's row-wise operations by the CUDA kernels, for tensors that cuda_kernels_for serves;
// contiguous, in sizes that kernels/cuda_kernels.h names. What they compute: model/ops.h.

// inverse_rms: float32 [rows], for backward; may be null.
at::Tensor cuda_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                         at::Tensor* inverse_rms);

struct CudaNormGradients {
  at::Tensor x, weight;  // the latter float32
};
CudaNormGradients cuda_rms_norm_backward(const at::Tensor& grad_out, const at::Tensor& x,
                                         const at::Tensor& weight, const at::Tensor& inverse_rms);

at::Tensor cuda_rotate(const at::Tensor& x, const at::Tensor& table, int64_t rotated_heads,
                       bool inverse);
at::Tensor cuda_swiglu(const at::Tensor& gate_up);
at::Tensor cuda_swiglu_backward(const at::Tensor& grad_out, const at::Tensor& gate_up);

}  // namespace treepo
