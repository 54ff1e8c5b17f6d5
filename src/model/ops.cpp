#include "model/ops.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/elementwise.h"
#include "model/cuda_kernels.h"
#include "model/cuda_ops.h"
#include "model/kernel_type.h"

namespace treepo {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// cuda_takes: whether the CUDA kernel serves x's sizes, those of the CPU serve all.
bool has_kernel(const at::Tensor& x, KernelChoice kernels, bool cuda_takes) {
  if (kernels != KernelChoice::best) return false;
  if (cuda_kernels_for(x) != nullptr) return cuda_takes;
  return x.is_cpu() && is_kernel_type(x.scalar_type());
}

template <typename S>
const S* in(const at::Tensor& x) {
  return const_elements<S>(x);
}
template <typename S>
S* out(at::Tensor& x) {
  return mutable_elements<S>(x);
}

bool records_gradient(const at::Tensor& a, const at::Tensor& b = {}) {
  return at::GradMode::is_enabled() && (a.requires_grad() || (b.defined() && b.requires_grad()));
}

// Half-width inputs are computed in float32.
c10::ScalarType wide(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

at::Tensor run_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                        at::Tensor* inverse_rms) {
  if (cuda_kernels_for(x) != nullptr) return cuda_rms_norm(x, weight, eps, inverse_rms);
  const int64_t n = x.size(-1), rows = x.numel() / n;
  at::Tensor result = at::empty_like(x);
  if (inverse_rms != nullptr) *inverse_rms = at::empty({rows}, x.options().dtype(wide(x)));
  with_kernel_type(x, [&]<typename S>(S) {
    using T = Arithmetic<S>;
    rms_norm_cpu<S>(in<S>(x), in<S>(weight), static_cast<T>(eps), rows, n, out<S>(result),
                    inverse_rms != nullptr ? out<T>(*inverse_rms) : nullptr);
  });
  return result;
}

struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            double eps) {
    at::Tensor inverse_rms;
    at::Tensor result = run_rms_norm(x, weight, eps, &inverse_rms);
    ctx->save_for_backward({x, weight, inverse_rms});
    return result;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], grad = grads[0].contiguous();
    if (cuda_kernels_for(x) != nullptr) {
      const CudaNormGradients made = cuda_rms_norm_backward(grad, x, weight, saved[2]);
      return {made.x, made.weight.to(weight.scalar_type()), at::Tensor()};
    }
    const int64_t n = x.size(-1), rows = x.numel() / n;
    at::Tensor grad_x = at::empty_like(x);
    at::Tensor grad_weight = at::empty_like(weight, weight.options().dtype(wide(x)));
    with_kernel_type(x, [&]<typename S>(S) {
      using T = Arithmetic<S>;
      rms_norm_backward_cpu<S>(in<S>(grad), in<S>(x), in<S>(weight), in<T>(saved[2]), rows, n,
                               out<S>(grad_x), out<T>(grad_weight));
    });
    return {grad_x, grad_weight.to(weight.scalar_type()), at::Tensor()};
  }
};

at::Tensor run_rotate(const at::Tensor& x, const at::Tensor& table, int64_t rotated_heads,
                      bool inverse) {
  if (cuda_kernels_for(x) != nullptr) return cuda_rotate(x, table, rotated_heads, inverse);
  at::Tensor result = at::empty_like(x);
  with_kernel_type(x, [&]<typename S>(S) {
    rotate_cpu<S>(in<S>(x), in<Arithmetic<S>>(table), x.size(0), x.size(1), rotated_heads,
                  x.size(2), inverse, out<S>(result));
  });
  return result;
}

struct Rotate : torch::autograd::Function<Rotate> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& table,
                            int64_t rotated_heads) {
    ctx->save_for_backward({table});
    ctx->saved_data["rotated_heads"] = rotated_heads;
    return run_rotate(x, table, rotated_heads, false);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const at::Tensor table = ctx->get_saved_variables()[0];
    return {
        run_rotate(grads[0].contiguous(), table, ctx->saved_data["rotated_heads"].toInt(), true),
        at::Tensor(), at::Tensor()};
  }
};

at::Tensor run_swiglu(const at::Tensor& gate_up) {
  if (cuda_kernels_for(gate_up) != nullptr) return cuda_swiglu(gate_up);
  const int64_t rows = gate_up.size(0), n = gate_up.size(1) / 2;
  at::Tensor result = at::empty({rows, n}, gate_up.options());
  with_kernel_type(gate_up,
                   [&]<typename S>(S) { swiglu_cpu<S>(in<S>(gate_up), rows, n, out<S>(result)); });
  return result;
}

struct SwiGlu : torch::autograd::Function<SwiGlu> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate_up) {
    ctx->save_for_backward({gate_up});
    return run_swiglu(gate_up);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const at::Tensor gate_up = ctx->get_saved_variables()[0], grad = grads[0].contiguous();
    if (cuda_kernels_for(gate_up) != nullptr) return {cuda_swiglu_backward(grad, gate_up)};
    at::Tensor grad_gate_up = at::empty_like(gate_up);
    with_kernel_type(gate_up, [&]<typename S>(S) {
      swiglu_backward_cpu<S>(in<S>(grad), in<S>(gate_up), gate_up.size(0), gate_up.size(1) / 2,
                             out<S>(grad_gate_up));
    });
    return {grad_gate_up};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                    KernelChoice kernels) {
  const bool cuda_takes = cuda_kernels_take_rows(x.size(-1)) &&
                          (x.size(-1) <= kCudaNormBackwardLimit || !records_gradient(x, weight));
  if (has_kernel(x, kernels, cuda_takes)) {
    const at::Tensor dense = x.contiguous();
    return records_gradient(dense, weight) ? RmsNorm::apply(dense, weight, eps)
                                           : run_rms_norm(dense, weight, eps, nullptr);
  }
  const at::Tensor v = x.to(wide(x));
  const at::Tensor inverse_rms = at::rsqrt(v.square().mean(-1, true) + eps);
  return (v * inverse_rms * weight.to(wide(x))).to(x.scalar_type());
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& table, int64_t rotated_heads,
                  KernelChoice kernels) {
  if (has_kernel(x, kernels, cuda_kernels_take_head(x.size(2)))) {
    const at::Tensor dense = x.contiguous();
    return records_gradient(dense) ? Rotate::apply(dense, table, rotated_heads)
                                   : run_rotate(dense, table, rotated_heads, false);
  }
  const int64_t half = x.size(2) / 2;
  const at::Tensor cosines = table.narrow(1, 0, half).unsqueeze(1);
  const at::Tensor sines = table.narrow(1, half, half).unsqueeze(1);
  const at::Tensor v = x.narrow(1, 0, rotated_heads).to(table.scalar_type());
  const at::Tensor a = v.narrow(2, 0, half), b = v.narrow(2, half, half);
  const at::Tensor turned = at::cat({a * cosines - b * sines, b * cosines + a * sines}, 2);
  return at::cat(
      {turned.to(x.scalar_type()), x.narrow(1, rotated_heads, x.size(1) - rotated_heads)}, 1);
}

at::Tensor swiglu(const at::Tensor& gate_up, KernelChoice kernels) {
  if (has_kernel(gate_up, kernels, cuda_kernels_take_rows(gate_up.size(1) / 2))) {
    const at::Tensor dense = gate_up.contiguous();
    return records_gradient(dense) ? SwiGlu::apply(dense) : run_swiglu(dense);
  }
  const int64_t n = gate_up.size(1) / 2;
  const at::Tensor gate = gate_up.narrow(1, 0, n).to(wide(gate_up));
  const at::Tensor up = gate_up.narrow(1, n, n).to(wide(gate_up));
  return (at::silu(gate) * up).to(gate_up.scalar_type());
}

}  // namespace treepo
