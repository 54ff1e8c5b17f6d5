#include "model/linear.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "kernels/isa.h"
#include "kernels/linear.h"
#include "kernels/weight_gradient.h"
#include "model/cuda_kernels.h"
#include "model/kernel_type.h"

namespace treepo {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

bool has_kernel(const at::Tensor& x, const at::Tensor& weight, KernelChoice kernels) {
  const bool tiles = x.scalar_type() == at::kBFloat16 && cpu_has_bfloat16_tiles();
  return kernels == KernelChoice::best && x.is_cpu() && is_kernel_type(x.scalar_type()) &&
         x.scalar_type() == weight.scalar_type() && weight.is_contiguous() && !tiles;
}

template <typename S>
const S* elements_or_null(const at::Tensor& x) {
  return x.defined() ? const_elements<S>(x) : nullptr;
}

template <typename S, typename O>
void run(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
         const at::Tensor& residual, at::Tensor& out) {
  linear_cpu<S, O>({.x = const_elements<S>(x),
                    .weight = const_elements<S>(weight),
                    .bias = elements_or_null<S>(bias),
                    .residual = elements_or_null<S>(residual),
                    .out = mutable_elements<O>(out),
                    .rows = x.size(0),
                    .outer = weight.size(0),
                    .inner = weight.size(1)});
}

at::Tensor run_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      const at::Tensor& residual) {
  at::Tensor out = at::empty({x.size(0), weight.size(0)}, x.options());
  const at::Tensor dense = x.contiguous();
  const at::Tensor added = residual.defined() ? residual.contiguous() : residual;
  with_kernel_type(x, [&]<typename S>(S) { run<S, S>(dense, weight, bias, added, out); });
  return out;
}

// Function::apply takes no undefined tensors.
using Optional = std::optional<at::Tensor>;
Optional if_defined(const at::Tensor& x) {
  return x.defined() ? Optional(x) : Optional();
}

at::Tensor library_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                          const at::Tensor& residual) {
  if (!residual.defined())
    return bias.defined() ? at::addmm(bias, x, weight.t()) : x.mm(weight.t());
  const at::Tensor sum = at::addmm(residual, x, weight.t());
  return bias.defined() ? sum + bias : sum;
}

// Half width on the CPU: whether products are made of copies in float32.
bool widens(const at::Tensor& x) {
  if (!x.is_cpu()) return false;
  return x.scalar_type() == at::kHalf ||
         (x.scalar_type() == at::kBFloat16 && !cpu_multiplies_bfloat16());
}

// gradient += gradᵀ · x
void add_by_kernel(at::Tensor& gradient, const at::Tensor& grad, const at::Tensor& x) {
  const at::Tensor dense_grad = grad.contiguous(), dense_x = x.contiguous();
  const int64_t rows = x.size(0), outer = gradient.size(0), inner = gradient.size(1);
  at::Tensor scratch =
      at::empty({weight_gradient_scratch(rows, outer, inner)}, x.options().dtype(at::kUInt32));
  weight_gradient_cpu({.grad = const_elements<BFloat16>(dense_grad),
                       .x = const_elements<BFloat16>(dense_x),
                       .sums = gradient.mutable_data_ptr<float>(),
                       .rows = rows,
                       .outer = outer,
                       .inner = inner,
                       .scratch = scratch.mutable_data_ptr<uint32_t>()});
}

// Products whose backward pass is written here: of half width, on a GPU with float32 sums to add to
// and on CPUs by our kernels; and those whose result nobody reads.
struct OwnLinear : torch::autograd::Function<OwnLinear> {
  static bool serves_half(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                          KernelChoice kernels, const LinearGradients& gradients) {
    if (kernels != KernelChoice::best || !at::GradMode::is_enabled()) return false;
    if (cuda_kernels_for(x) != nullptr && weight.requires_grad() && gradients.weight.defined() &&
        gradients.bias.defined() == bias.defined())
      return true;
    return x.scalar_type() == at::kBFloat16 && has_kernel(x, weight, kernels);
  }

  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const Optional& bias, const Optional& residual,
                            const LinearGradients& gradients, ResultUse use) {
    ctx->save_for_backward({x, weight});
    ctx->saved_data["weight"] = gradients.weight;
    ctx->saved_data["has_bias"] = bias.has_value();
    ctx->saved_data["bias"] = gradients.bias;
    ctx->saved_data["residual"] = residual.has_value();
    if (use == ResultUse::backward_only) return at::empty({x.size(0), weight.size(0)}, x.options());
    return (cuda_kernels_for(x) == nullptr ? run_linear : library_linear)(
        x, weight, bias.value_or(at::Tensor()), residual.value_or(at::Tensor()));
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const c10::ScalarType multiplied = product_dtype(weight);
    const at::Tensor grad = grads[0].to(multiplied);
    variable_list results(6);
    if (ctx->needs_input_grad(0)) results[0] = input_gradient(grad, weight);
    const at::Tensor weight_sum = ctx->saved_data["weight"].toTensor();
    if (ctx->needs_input_grad(1)) {
      if (weight_sum.defined())
        add_weight_gradient(weight_sum, grad, x.to(multiplied));
      else
        results[1] = grad.t().mm(x.to(multiplied)).to(weight.scalar_type());
    }
    const at::Tensor bias_sum = ctx->saved_data["bias"].toTensor();
    if (bias_sum.defined())
      bias_sum.add_(grad.sum(0, /*keepdim=*/false, bias_sum.scalar_type()));
    else if (ctx->saved_data["has_bias"].toBool())
      results[2] = grad.sum(0).to(x.scalar_type());
    if (ctx->saved_data["residual"].toBool()) results[3] = grads[0];
    return results;
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  const at::Tensor& residual, KernelChoice kernels,
                  const LinearGradients& gradients, ResultUse use) {
  TREEPO_CHECK(x.dim() == 2 && weight.dim() == 2 && x.size(1) == weight.size(1),
               "a product over {} and {} numbers", x.size(-1), weight.size(-1));
  const bool half = OwnLinear::serves_half(x, weight, bias, kernels, gradients);
  const bool unread = use == ResultUse::backward_only && at::GradMode::is_enabled() &&
                      c10::elementSize(x.scalar_type()) >= sizeof(float);
  if (half || unread)
    return OwnLinear::apply(x, weight, if_defined(bias), if_defined(residual),
                            half ? gradients : LinearGradients{}, use);
  if (has_kernel(x, weight, kernels) &&
      (c10::InferenceMode::is_enabled() || x.scalar_type() == at::kBFloat16))
    return run_linear(x, weight, bias, residual);
  return library_linear(x, weight, bias, residual);
}

at::Tensor wide_linear(const at::Tensor& x, const at::Tensor& weight, KernelChoice kernels) {
  const auto wide = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  if (!has_kernel(x, weight, kernels)) return x.mm(weight.t()).to(wide);
  at::Tensor out = at::empty({x.size(0), weight.size(0)}, x.options().dtype(wide));
  const at::Tensor dense = x.contiguous();
  with_kernel_type(x, [&]<typename S>(S) { run<S, Arithmetic<S>>(dense, weight, {}, {}, out); });
  return out;
}

c10::ScalarType product_dtype(const at::Tensor& weight) {
  return widens(weight) ? at::kFloat : weight.scalar_type();
}

at::Tensor input_gradient(const at::Tensor& grad, const at::Tensor& weight) {
  if (!widens(weight)) return grad.to(weight.scalar_type()).mm(weight);
  constexpr int64_t kRows = 8192;  // of the weight at once: the output matrix is not copied whole
  at::Tensor sum = at::zeros({grad.size(0), weight.size(1)}, weight.options().dtype(at::kFloat));
  for (int64_t first = 0; first < weight.size(0); first += kRows) {
    const int64_t count = std::min(kRows, weight.size(0) - first);
    sum.addmm_(grad.narrow(1, first, count).to(at::kFloat),
               weight.detach().narrow(0, first, count).to(at::kFloat));
  }
  return sum.to(weight.scalar_type());
}

void add_weight_gradient(at::Tensor gradient, const at::Tensor& grad, const at::Tensor& x) {
  const c10::ScalarType sums = gradient.scalar_type();
  // A single row is taken for a bias there, and may be lost.
  const bool direct = grad.is_cuda() && sums != grad.scalar_type() && gradient.size(0) > 1;
  const bool by_kernel = x.is_cpu() && x.scalar_type() == at::kBFloat16 && sums == at::kFloat &&
                         cpu_isa() == Isa::avx512_bf16 && gradient.is_contiguous();
  if (direct)
    at::addmm_out(gradient, gradient, grad.t(), x, sums);
  else if (by_kernel)
    add_by_kernel(gradient, grad, x);
  else
    gradient.addmm_(grad.t().to(sums), x.to(sums));
}

}  // namespace treepo
