#include "model/cuda_ops.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "model/cuda_kernels.h"

namespace treepo {

at::Tensor cuda_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                         at::Tensor* inverse_rms) {
  const CudaKernels& kernels = *cuda_kernels_for(x);
  const int64_t n = x.size(-1), rows = x.numel() / n;
  at::Tensor out = at::empty_like(x);
  float* inverse = nullptr;
  if (inverse_rms != nullptr) {
    *inverse_rms = at::empty({rows}, x.options().dtype(at::kFloat));
    inverse = inverse_rms->mutable_data_ptr<float>();
  }
  check_cuda(kernels,
             kernels.rms_norm(CudaStream(x.device()), cuda_type(x.scalar_type()),
                              x.const_data_ptr(), weight.const_data_ptr(), static_cast<float>(eps),
                              rows, n, out.mutable_data_ptr(), inverse));
  return out;
}

CudaNormGradients cuda_rms_norm_backward(const at::Tensor& grad_out, const at::Tensor& x,
                                         const at::Tensor& weight, const at::Tensor& inverse_rms) {
  constexpr int64_t kMostStrips = 1024;
  const CudaKernels& kernels = *cuda_kernels_for(x);
  const int64_t n = x.size(-1), rows = x.numel() / n;
  const int64_t strips = std::min(rows, kMostStrips);
  at::Tensor grad_x = at::empty_like(x);
  at::Tensor parts = at::empty({strips, n}, x.options().dtype(at::kFloat));
  check_cuda(kernels,
             kernels.rms_norm_backward(
                 CudaStream(x.device()), cuda_type(x.scalar_type()), grad_out.const_data_ptr(),
                 x.const_data_ptr(), weight.const_data_ptr(), inverse_rms.const_data_ptr<float>(),
                 rows, n, strips, grad_x.mutable_data_ptr(), parts.mutable_data_ptr<float>()));
  return {grad_x, parts.sum(0)};
}

at::Tensor cuda_rotate(const at::Tensor& x, const at::Tensor& table, int64_t rotated_heads,
                       bool inverse) {
  const CudaKernels& kernels = *cuda_kernels_for(x);
  at::Tensor out = at::empty_like(x);
  CudaRotate work;
  work.type = cuda_type(x.scalar_type());
  work.x = x.const_data_ptr();
  work.table = table.const_data_ptr<float>();
  work.rows = x.size(0);
  work.heads = static_cast<int32_t>(x.size(1));
  work.rotated_heads = static_cast<int32_t>(rotated_heads);
  work.head_dim = static_cast<int32_t>(x.size(2));
  work.inverse = inverse;
  work.out = out.mutable_data_ptr();
  check_cuda(kernels, kernels.rotate(CudaStream(x.device()), work));
  return out;
}

at::Tensor cuda_swiglu(const at::Tensor& gate_up) {
  const CudaKernels& kernels = *cuda_kernels_for(gate_up);
  const int64_t rows = gate_up.size(0), n = gate_up.size(1) / 2;
  at::Tensor out = at::empty({rows, n}, gate_up.options());
  check_cuda(kernels, kernels.swiglu(CudaStream(gate_up.device()), cuda_type(gate_up.scalar_type()),
                                     gate_up.const_data_ptr(), rows, n, out.mutable_data_ptr()));
  return out;
}

at::Tensor cuda_swiglu_backward(const at::Tensor& grad_out, const at::Tensor& gate_up) {
  const CudaKernels& kernels = *cuda_kernels_for(gate_up);
  at::Tensor grad = at::empty_like(gate_up);
  check_cuda(kernels, kernels.swiglu_backward(
                          CudaStream(gate_up.device()), cuda_type(gate_up.scalar_type()),
                          grad_out.const_data_ptr(), gate_up.const_data_ptr(), gate_up.size(0),
                          gate_up.size(1) / 2, grad.mutable_data_ptr()));
  return grad;
}

}  // namespace treepo
