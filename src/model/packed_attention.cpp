#include "model/packed_attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <limits>

#include "base/error.h"

namespace treepo {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using PlanPointer = std::shared_ptr<const PackedAttentionPlan>;

double scale_of(const AttentionShape& shape) {
  return 1 / std::sqrt(static_cast<double>(shape.head_dim));
}

struct Forward {
  at::Tensor out;  // [N, heads, head_dim]
  at::Tensor lse;  // [N, heads]
};

template <typename T>
Forward forward_cpu(const at::Tensor& qkv, const AttentionShape& shape,
                    const PackedAttentionPlan& plan) {
  Forward result{at::empty({qkv.size(0), shape.num_heads, shape.head_dim}, qkv.options()),
                 at::empty({qkv.size(0), shape.num_heads}, qkv.options())};
  packed_attention_forward_cpu<T>(plan, shape, static_cast<T>(scale_of(shape)),
                                  qkv.const_data_ptr<T>(), result.out.mutable_data_ptr<T>(),
                                  result.lse.mutable_data_ptr<T>());
  return result;
}

template <typename T>
at::Tensor backward_cpu(const at::Tensor& qkv, const Forward& forward, const at::Tensor& grad_out,
                        const AttentionShape& shape, const PackedAttentionPlan& plan) {
  at::Tensor grad_qkv = at::empty_like(qkv);
  packed_attention_backward_cpu<T>(plan, shape, static_cast<T>(scale_of(shape)),
                                   qkv.const_data_ptr<T>(), forward.out.const_data_ptr<T>(),
                                   forward.lse.const_data_ptr<T>(), grad_out.const_data_ptr<T>(),
                                   grad_qkv.mutable_data_ptr<T>());
  return grad_qkv;
}

// Plain tensor operations, one block of queries at a time, for devices without a kernel.
class Blocks {
 public:
  Blocks(const at::Tensor& qkv, const AttentionShape& shape, const PackedAttentionPlan& plan)
      : shape_(shape), plan_(plan), group_(shape.num_heads / shape.num_kv_heads) {
    const auto parts =
        qkv.split_with_sizes({shape.num_heads, shape.num_kv_heads, shape.num_kv_heads}, 1);
    queries_ = parts[0] * scale_of(shape);
    keys_ = parts[1];
    values_ = parts[2];
    ends_ = to_device(plan.subtree_end);
    all_key_ids_ = to_device(plan.keys);
  }

  Forward forward() const {
    Forward result{at::empty_like(queries_), at::empty(queries_.sizes().slice(0, 2), options())};
    for (int32_t block = 0; block < plan_.num_blocks(); ++block) {
      const at::Tensor ids = key_ids(block);
      const at::Tensor scores = masked_scores(block, ids);
      const at::Tensor lse = scores.logsumexp(-1, true);
      const at::Tensor out = (scores - lse).exp().matmul(by_head(values_.index_select(0, ids)));
      rows(result.out, block).copy_(from_heads(out));
      rows(result.lse, block).copy_(from_heads(lse).squeeze(-1));
    }
    return result;
  }

  // The ids of one block are unique, so that index_copy_ of a sum is the same on every run, unlike
  // an accumulating scatter.
  at::Tensor backward(const Forward& forward, const at::Tensor& grad_out) const {
    at::Tensor grad_queries = at::empty_like(queries_), grad_keys = at::zeros_like(keys_),
               grad_values = at::zeros_like(values_);
    for (int32_t block = 0; block < plan_.num_blocks(); ++block) {
      const at::Tensor ids = key_ids(block);
      const at::Tensor lse = to_heads(rows(forward.lse, block).unsqueeze(-1));
      const at::Tensor p = (masked_scores(block, ids) - lse).exp();
      const at::Tensor grad = to_heads(rows(grad_out, block));
      const at::Tensor along = (grad * to_heads(rows(forward.out, block))).sum(-1, true);
      const at::Tensor grad_p = grad.matmul(by_head(values_.index_select(0, ids)).transpose(1, 2));
      const at::Tensor grad_scores = p * (grad_p - along);
      const at::Tensor query = to_heads(rows(queries_, block));
      add_to(grad_values, ids, p.transpose(1, 2).matmul(grad));
      add_to(grad_keys, ids, grad_scores.transpose(1, 2).matmul(query));
      const at::Tensor key = by_head(keys_.index_select(0, ids));
      rows(grad_queries, block).copy_(from_heads(grad_scores.matmul(key)) * scale_of(shape_));
    }
    return at::cat({grad_queries, grad_keys, grad_values}, 1);
  }

 private:
  at::TensorOptions options() const { return queries_.options(); }

  at::Tensor to_device(const std::vector<int32_t>& values) const {
    return at::tensor(at::ArrayRef<int32_t>(values), at::kInt).to(queries_.device(), at::kLong);
  }

  at::Tensor key_ids(int32_t block) const {
    const auto at = static_cast<size_t>(block);
    return all_key_ids_.slice(0, plan_.key_begin[at], plan_.key_begin[at + 1]);
  }

  at::Tensor rows(const at::Tensor& x, int32_t block) const {
    const auto at = static_cast<size_t>(block);
    return x.slice(0, plan_.block_begin[at], plan_.block_begin[at + 1]);
  }

  // [tokens, heads, n] to [kv heads, tokens * group, n] and back: the heads that read one key/value
  // head lie beside their token.
  at::Tensor to_heads(const at::Tensor& x) const {
    return x.reshape({x.size(0), shape_.num_kv_heads, group_, x.size(2)})
        .transpose(0, 1)
        .reshape({shape_.num_kv_heads, x.size(0) * group_, x.size(2)});
  }
  at::Tensor from_heads(const at::Tensor& x) const {
    const int64_t tokens = x.size(1) / group_;
    return x.reshape({shape_.num_kv_heads, tokens, group_, x.size(2)})
        .transpose(0, 1)
        .reshape({tokens, shape_.num_heads, x.size(2)});
  }
  static at::Tensor by_head(const at::Tensor& x) { return x.transpose(0, 1); }  // [kv, tokens, n]

  // [kv heads, queries * group, keys], -inf where the query does not see the key.
  at::Tensor masked_scores(int32_t block, const at::Tensor& ids) const {
    const auto at = static_cast<size_t>(block);
    const at::Tensor query_ids =
        at::arange(plan_.block_begin[at], plan_.block_begin[at + 1], ids.options())
            .repeat_interleave(group_)
            .unsqueeze(1);
    const at::Tensor hidden =
        ids.gt(query_ids).logical_or_(ends_.index_select(0, ids).le(query_ids));
    return to_heads(rows(queries_, block))
        .matmul(by_head(keys_.index_select(0, ids)).transpose(1, 2))
        .masked_fill_(hidden, -std::numeric_limits<double>::infinity());
  }

  static void add_to(at::Tensor& sum, const at::Tensor& ids, const at::Tensor& heads_first) {
    sum.index_copy_(0, ids, sum.index_select(0, ids) + heads_first.transpose(0, 1));
  }

  AttentionShape shape_;
  const PackedAttentionPlan& plan_;
  int64_t group_;
  at::Tensor queries_, keys_, values_;  // [N, heads, head_dim], queries scaled
  at::Tensor ends_, all_key_ids_;
};

Forward run_forward(const at::Tensor& qkv, const AttentionShape& shape,
                    const PackedAttentionPlan& plan, KernelChoice kernels) {
  if (!qkv.is_cpu() || kernels == KernelChoice::tensor_operations)
    return Blocks(qkv, shape, plan).forward();
  return qkv.scalar_type() == at::kDouble ? forward_cpu<double>(qkv, shape, plan)
                                          : forward_cpu<float>(qkv, shape, plan);
}

at::Tensor run_backward(const at::Tensor& qkv, const Forward& forward, const at::Tensor& grad_out,
                        const AttentionShape& shape, const PackedAttentionPlan& plan,
                        KernelChoice kernels) {
  if (!qkv.is_cpu() || kernels == KernelChoice::tensor_operations)
    return Blocks(qkv, shape, plan).backward(forward, grad_out);
  return qkv.scalar_type() == at::kDouble
             ? backward_cpu<double>(qkv, forward, grad_out, shape, plan)
             : backward_cpu<float>(qkv, forward, grad_out, shape, plan);
}

// Carries the plan from forward to backward.
struct Held : torch::CustomClassHolder {
  Held(const AttentionShape& s, PlanPointer p, KernelChoice k)
      : shape(s), plan(std::move(p)), kernels(k) {}
  AttentionShape shape;
  PlanPointer plan;
  KernelChoice kernels;
};

struct PackedAttentionFunction : torch::autograd::Function<PackedAttentionFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv,
                            const AttentionShape& shape, const PlanPointer& plan,
                            KernelChoice kernels) {
    const Forward result = run_forward(qkv, shape, *plan, kernels);
    ctx->save_for_backward({qkv, result.out, result.lse});
    ctx->saved_data["held"] =
        c10::IValue::make_capsule(c10::make_intrusive<Held>(shape, plan, kernels));
    return result.out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const auto held = c10::static_intrusive_pointer_cast<Held>(ctx->saved_data["held"].toCapsule());
    return {run_backward(saved[0], {saved[1], saved[2]}, grads[0].contiguous(), held->shape,
                         *held->plan, held->kernels),
            at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor packed_attention(const at::Tensor& qkv, const AttentionShape& shape,
                            std::shared_ptr<const PackedAttentionPlan> plan, KernelChoice kernels) {
  TREEPO_CHECK(qkv.dim() == 3 && qkv.size(0) == plan->num_tokens() &&
                   qkv.size(1) == shape.num_heads + 2 * shape.num_kv_heads,
               "qkv of {} tokens, plan of {}", qkv.size(0), plan->num_tokens());
  const c10::ScalarType wide = qkv.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor dense = qkv.to(wide).contiguous();
  const bool records = at::GradMode::is_enabled() && dense.requires_grad();
  const at::Tensor out = records ? PackedAttentionFunction::apply(dense, shape, plan, kernels)
                                 : run_forward(dense, shape, *plan, kernels).out;
  return out.reshape({qkv.size(0), -1}).to(qkv.scalar_type());
}

at::Tensor PackedAttention::attend(int64_t /*layer*/, const at::Tensor& qkv) {
  return packed_attention(qkv, shape_, plan_, kernels_);
}

}  // namespace treepo
