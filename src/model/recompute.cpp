#include "model/recompute.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"

namespace treepo {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Held : torch::CustomClassHolder {
  TensorFunction head;
  TailFunction tail;
  int64_t rows_at_once = 0;
};

// Calls f(first, count) for all rows.
template <typename F>
void for_each_part(int64_t rows, int64_t rows_at_once, const F& f) {
  for (int64_t first = 0; first < rows; first += rows_at_once)
    f(first, std::min(rows_at_once, rows - first));
}

at::Tensor run(const Held& held, const at::Tensor& x) {
  const at::Tensor middle = held.head(x);
  if (middle.size(0) <= held.rows_at_once) return held.tail(middle, ResultUse::read);
  at::Tensor y;
  for_each_part(middle.size(0), held.rows_at_once, [&](int64_t first, int64_t count) {
    const at::Tensor part = held.tail(middle.narrow(0, first, count), ResultUse::read);
    if (first == 0) {
      std::vector<int64_t> sizes = part.sizes().vec();
      sizes[0] = middle.size(0);
      y = at::empty(sizes, part.options());
    }
    y.narrow(0, first, count).copy_(part);
  });
  return y;
}

struct Recomputed : torch::autograd::Function<Recomputed> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x,
                            const c10::intrusive_ptr<Held>& held) {
    ctx->save_for_backward({x});
    ctx->saved_data["held"] = c10::IValue::make_capsule(held);
    return run(*held, x);  // without gradients, as apply() has it
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto held = c10::static_intrusive_pointer_cast<Held>(ctx->saved_data["held"].toCapsule());
    at::Tensor x = ctx->get_saved_variables()[0].detach();
    x.set_requires_grad(true);
    const at::AutoGradMode with_gradients(true);
    const at::Tensor middle = held->head(x);
    const at::Tensor grad_middle = at::empty_like(middle);
    for_each_part(middle.size(0), held->rows_at_once, [&](int64_t first, int64_t count) {
      at::Tensor part = middle.detach().narrow(0, first, count);
      part.set_requires_grad(true);
      torch::autograd::backward({held->tail(part, ResultUse::backward_only)},
                                {grads[0].narrow(0, first, count)});
      grad_middle.narrow(0, first, count).copy_(part.grad());
    });
    grads.clear();
    torch::autograd::backward({middle}, {grad_middle});
    return {x.grad(), at::Tensor()};
  }
};

}  // namespace

at::Tensor recomputed(const at::Tensor& x, TensorFunction head, TailFunction tail,
                      int64_t rows_at_once) {
  TREEPO_CHECK(rows_at_once > 0, "{} rows at once", rows_at_once);
  auto held = c10::make_intrusive<Held>();
  held->head = std::move(head);
  held->tail = std::move(tail);
  held->rows_at_once = rows_at_once;
  const bool records = at::GradMode::is_enabled() && x.requires_grad();
  return records ? Recomputed::apply(x, held) : run(*held, x);
}

}  // namespace treepo
