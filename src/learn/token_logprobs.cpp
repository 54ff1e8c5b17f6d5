#include "learn/token_logprobs.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "base/error.h"
#include "model/linear.h"

namespace treepo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

c10::ScalarType softmax_dtype(const at::Tensor& hidden) {
  return hidden.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

// Sources [begin, end) with their targets [first, last).
struct Chunk {
  int64_t begin = 0, end = 0, first = 0, last = 0;

  int64_t num_sources() const { return end - begin; }
  at::Tensor sources_of(const at::Tensor& t) const { return t.narrow(0, begin, end - begin); }
  at::Tensor targets_of(const at::Tensor& t) const { return t.narrow(0, first, last - first); }
};

// Calls f(chunk) for all sources in order. target_source: ascending, on the CPU.
template <typename F>
void for_each_chunk(int64_t num_sources, const at::Tensor& target_source, int64_t chunk, F f) {
  const int64_t* targets = target_source.const_data_ptr<int64_t>();
  const int64_t* const end = targets + target_source.numel();
  const int64_t* first = targets;
  for (int64_t begin = 0; begin < num_sources; begin += chunk) {
    const int64_t stop = std::min(begin + chunk, num_sources);
    const int64_t* last = std::lower_bound(first, end, stop);
    f(Chunk{.begin = begin, .end = stop, .first = first - targets, .last = last - targets});
    first = last;
  }
}

// The projection of one chunk; `shifted` and `log_sum` together give log-probs: shifted - log_sum.
struct Projection {
  at::Tensor hidden;   // [C, H]
  at::Tensor shifted;  // [C, V] logits / temperature less the row's largest
};

Projection project(const at::Tensor& hidden, const at::Tensor& head_weight, const at::Tensor& rows,
                   double temperature) {
  Projection projection{.hidden = hidden.index_select(0, rows), .shifted = {}};
  at::Tensor logits = wide_linear(projection.hidden, head_weight);
  if (temperature != 1.0) logits.div_(temperature);
  projection.shifted = logits.sub_(logits.amax(1, /*keepdim=*/true));
  return projection;
}

// gradient[source of t][token of t] += values[t] for the chunk's targets, in their order.
void scatter_targets(at::Tensor& gradient, const Chunk& chunk, const at::Tensor& target_source,
                     const at::Tensor& target_token, const at::Tensor& values) {
  const at::Tensor rows = chunk.targets_of(target_source) - chunk.begin;
  const at::Tensor tokens = chunk.targets_of(target_token);
  if (!gradient.is_cpu()) {  // sorts before it adds there, so it is deterministic
    gradient.index_put_({rows.to(gradient.device()), tokens.to(gradient.device())}, values,
                        /*accumulate=*/true);
    return;
  }
  AT_DISPATCH_FLOATING_TYPES(gradient.scalar_type(), "scatter_targets", [&] {
    scalar_t* out = gradient.data_ptr<scalar_t>();
    const at::Tensor contiguous = values.contiguous();
    const scalar_t* in = contiguous.const_data_ptr<scalar_t>();
    const int64_t* row = rows.const_data_ptr<int64_t>();
    const int64_t* token = tokens.const_data_ptr<int64_t>();
    for (int64_t t = 0; t < rows.numel(); ++t) out[row[t] * gradient.size(1) + token[t]] += in[t];
  });
}

// Sum of each source's target values. [C]
at::Tensor sum_by_source(const Chunk& chunk, const at::Tensor& target_source,
                         const at::Tensor& values) {
  at::Tensor sums = at::zeros({chunk.num_sources(), 1}, values.options());
  const at::Tensor column = at::zeros_like(target_source);
  scatter_targets(sums, chunk, target_source, column, values);
  return sums.squeeze(1);
}

class TokenLogprobsFunction : public torch::autograd::Function<TokenLogprobsFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& hidden,
                               const at::Tensor& head_weight, const at::Tensor& source_row,
                               const at::Tensor& target_source, const at::Tensor& target_token,
                               double temperature, int64_t chunk_size) {
    const auto options = hidden.options().dtype(softmax_dtype(hidden));
    const at::Tensor logprob = at::empty({target_source.numel()}, options);
    const at::Tensor entropy = at::empty({source_row.numel()}, options);
    const at::Tensor log_sum = at::empty({source_row.numel()}, options);
    const at::Tensor rows = source_row.to(hidden.device());
    for_each_chunk(source_row.numel(), target_source, chunk_size, [&](const Chunk& chunk) {
      const at::Tensor shifted =
          project(hidden, head_weight, chunk.sources_of(rows), temperature).shifted;
      const at::Tensor sources =
          (chunk.targets_of(target_source) - chunk.begin).to(hidden.device());
      const at::Tensor tokens = chunk.targets_of(target_token).to(hidden.device());
      const at::Tensor picked = shifted.index({sources, tokens});
      at::Tensor weights = shifted.exp();
      const at::Tensor sum = weights.sum(1);
      const at::Tensor log = sum.log();
      chunk.sources_of(log_sum).copy_(log);
      chunk.targets_of(logprob).copy_(picked.sub_(log.index_select(0, sources)));
      chunk.sources_of(entropy).copy_(log - weights.mul_(shifted).sum(1).div_(sum));
    });
    ctx->save_for_backward(
        {hidden, head_weight, rows, target_source, target_token, entropy, log_sum});
    ctx->set_materialize_grads(false);  // no entropy term: its gradient stays undefined
    ctx->saved_data["temperature"] = temperature;
    ctx->saved_data["chunk"] = chunk_size;
    return {logprob, entropy};
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &hidden = saved[0], &head_weight = saved[1], &rows = saved[2];
    const at::Tensor &target_source = saved[3], &target_token = saved[4];
    const at::Tensor &entropy = saved[5], &log_sum = saved[6];
    const double temperature = ctx->saved_data["temperature"].toDouble();
    const at::Tensor d_logprob =
        gradients[0].defined() ? gradients[0] : at::zeros_like(target_source, entropy.options());
    const at::Tensor& d_entropy = gradients[1];

    at::Tensor d_hidden = at::zeros_like(hidden);
    at::Tensor d_weight = at::zeros_like(head_weight, entropy.options());
    for_each_chunk(
        rows.numel(), target_source, ctx->saved_data["chunk"].toInt(), [&](const Chunk& chunk) {
          const at::Tensor chunk_rows = chunk.sources_of(rows);
          Projection projection = project(hidden, head_weight, chunk_rows, temperature);
          at::Tensor d_logits =
              logit_gradient(projection.shifted.sub_(chunk.sources_of(log_sum).unsqueeze(1)), chunk,
                             target_source, target_token, d_logprob, d_entropy, entropy);
          if (temperature != 1.0) d_logits.div_(temperature);
          d_weight.addmm_(d_logits.t(), projection.hidden.to(d_logits.scalar_type()));
          d_logits = d_logits.to(hidden.scalar_type());
          d_hidden.index_copy_(0, chunk_rows, d_logits.matmul(head_weight));
        });
    return {d_hidden, d_weight.to(head_weight.scalar_type()), {}, {}, {}, {}, {}};
  }

 private:
  // With p = exp(logp): d logp_t / d z = onehot - p, d entropy / d z = -p (logp + entropy).
  // Overwrites logp [C, V].
  static at::Tensor logit_gradient(at::Tensor logp, const Chunk& chunk,
                                   const at::Tensor& target_source, const at::Tensor& target_token,
                                   const at::Tensor& d_logprob, const at::Tensor& d_entropy,
                                   const at::Tensor& entropy) {
    const at::Tensor d_targets = chunk.targets_of(d_logprob);
    const at::Tensor d_sources = sum_by_source(chunk, target_source, d_targets).unsqueeze(1);
    at::Tensor gradient;
    if (d_entropy.defined()) {
      const at::Tensor p = logp.exp();
      gradient = logp.add_(chunk.sources_of(entropy).unsqueeze(1))
                     .mul_(chunk.sources_of(d_entropy).unsqueeze(1))
                     .add_(d_sources)
                     .mul_(p)
                     .neg_();
    } else {
      gradient = logp.exp_().mul_(d_sources).neg_();
    }
    scatter_targets(gradient, chunk, target_source, target_token, d_targets);
    return gradient;
  }
};

}  // namespace

TokenLogprobs token_logprobs(const at::Tensor& hidden, const at::Tensor& head_weight,
                             const at::Tensor& source_row, const at::Tensor& target_source,
                             const at::Tensor& target_token, double temperature, int64_t chunk) {
  TREEPO_CHECK(hidden.dim() == 2 && head_weight.dim() == 2 && hidden.size(1) == head_weight.size(1),
               "hidden [N, H] and head_weight [V, H]");
  TREEPO_CHECK(temperature > 0 && chunk > 0, "temperature {}, chunk {}", temperature, chunk);
  const variable_list result = TokenLogprobsFunction::apply(
      hidden, head_weight, source_row, target_source, target_token, temperature, chunk);
  return {.logprob = result[0], .entropy = result[1]};
}

}  // namespace treepo
