#include "model/recompute.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

namespace treepo {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Held : torch::CustomClassHolder {
  explicit Held(TensorFunction f) : function(std::move(f)) {}
  TensorFunction function;
};

struct Recomputed : torch::autograd::Function<Recomputed> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const TensorFunction& f) {
    ctx->save_for_backward({x});
    ctx->saved_data["held"] = c10::IValue::make_capsule(c10::make_intrusive<Held>(f));
    return f(x);  // without gradients, as apply() has it
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto held = c10::static_intrusive_pointer_cast<Held>(ctx->saved_data["held"].toCapsule());
    at::Tensor x = ctx->get_saved_variables()[0].detach();
    x.set_requires_grad(true);
    const at::AutoGradMode with_gradients(true);
    const at::Tensor y = held->function(x);
    torch::autograd::backward({y}, {grads[0]});
    return {x.grad(), at::Tensor()};
  }
};

}  // namespace

at::Tensor recomputed(const at::Tensor& x, TensorFunction f) {
  const bool records = at::GradMode::is_enabled() && x.requires_grad();
  return records ? Recomputed::apply(x, f) : f(x);
}

}  // namespace treepo
