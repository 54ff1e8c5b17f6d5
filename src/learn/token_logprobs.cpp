#include "learn/token_logprobs.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/log_softmax.h"
#include "learn/cuda_token_logprobs.h"
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

struct Projection {
  at::Tensor hidden;  // [C, H]
  at::Tensor logits;  // [C, V] of the softmax's dtype
};

Projection project(const at::Tensor& hidden, const at::Tensor& head_weight,
                   const at::Tensor& rows) {
  Projection projection{.hidden = hidden.index_select(0, rows), .logits = {}};
  projection.logits = wide_linear(projection.hidden, head_weight);
  return projection;
}

// Of each source, [S] or of one chunk [C]: log p = (logit - largest) / temperature - log_sum.
struct Statistics {
  at::Tensor largest, log_sum, entropy;

  Statistics of(const Chunk& chunk) const {
    return {chunk.sources_of(largest), chunk.sources_of(log_sum), chunk.sources_of(entropy)};
  }
};

Statistics empty_statistics(int64_t num_sources, const at::TensorOptions& options) {
  return {at::empty({num_sources}, options), at::empty({num_sources}, options),
          at::empty({num_sources}, options)};
}

template <typename T>
void compute_on_cpu(const at::Tensor& logits, double temperature, Statistics& out) {
  log_softmax_statistics_cpu<T>(logits.const_data_ptr<T>(), logits.size(0), logits.size(1),
                                static_cast<T>(1 / temperature), out.largest.mutable_data_ptr<T>(),
                                out.log_sum.mutable_data_ptr<T>(),
                                out.entropy.mutable_data_ptr<T>());
}

bool use_kernels(const at::Tensor& logits, KernelChoice kernels) {
  return kernels == KernelChoice::best && logits.is_cpu();
}

// Fills `out`; without kernels the logits are overwritten.
void compute(at::Tensor logits, double temperature, KernelChoice kernels, Statistics out) {
  if (use_kernels(logits, kernels)) {
    logits.scalar_type() == at::kDouble ? compute_on_cpu<double>(logits, temperature, out)
                                        : compute_on_cpu<float>(logits, temperature, out);
    return;
  }
  const at::Tensor largest = logits.amax(1, /*keepdim=*/true);
  const at::Tensor z = logits.sub_(largest).mul_(1 / temperature);
  at::Tensor weights = z.exp();
  const at::Tensor sum = weights.sum(1), log = sum.log();
  out.largest.copy_(largest.squeeze(1));
  out.log_sum.copy_(log);
  out.entropy.copy_(log - weights.mul_(z).sum(1).div_(sum));
}

// Log-probs of a chunk's targets from their logits.
at::Tensor logprobs_of(const at::Tensor& picked, const at::Tensor& sources, double temperature,
                       const Statistics& of) {
  return picked.sub(of.largest.index_select(0, sources))
      .mul_(1 / temperature)
      .sub_(of.log_sum.index_select(0, sources));
}

// Logits of a chunk's targets, and which of its sources each has.
struct Picked {
  at::Tensor logits, sources;
};

Picked pick(const at::Tensor& logits, const Chunk& chunk, const at::Tensor& target_source,
            const at::Tensor& target_token) {
  const at::Tensor sources = (chunk.targets_of(target_source) - chunk.begin).to(logits.device());
  const at::Tensor tokens = chunk.targets_of(target_token).to(logits.device());
  return {logits.index({sources, tokens}), sources};
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

// What autograd does not look at.
struct Settings {
  double temperature;
  int64_t chunk;
  at::Tensor weight_gradient;  // undefined: autograd gets it
  KernelChoice kernels;
};

class TokenLogprobsFunction : public torch::autograd::Function<TokenLogprobsFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& hidden,
                               const at::Tensor& head_weight, const at::Tensor& source_row,
                               const at::Tensor& target_source, const at::Tensor& target_token,
                               const Settings& settings) {
    const auto options = hidden.options().dtype(softmax_dtype(hidden));
    const at::Tensor logprob = at::empty({target_source.numel()}, options);
    const Statistics all = empty_statistics(source_row.numel(), options);
    const at::Tensor rows = source_row.to(hidden.device());
    for_each_chunk(source_row.numel(), target_source, settings.chunk, [&](const Chunk& chunk) {
      const at::Tensor logits = project(hidden, head_weight, chunk.sources_of(rows)).logits;
      const Picked picked = pick(logits, chunk, target_source, target_token);
      compute(logits, settings.temperature, settings.kernels, all.of(chunk));
      chunk.targets_of(logprob).copy_(
          logprobs_of(picked.logits, picked.sources, settings.temperature, all.of(chunk)));
    });
    ctx->save_for_backward({hidden, head_weight, rows, target_source, target_token, all.largest,
                            all.log_sum, all.entropy});
    ctx->set_materialize_grads(false);  // no entropy term: its gradient stays undefined
    ctx->saved_data["temperature"] = settings.temperature;
    ctx->saved_data["chunk"] = settings.chunk;
    ctx->saved_data["weight_gradient"] = settings.weight_gradient;
    ctx->saved_data["kernels"] = settings.kernels == KernelChoice::best;
    return {logprob, all.entropy};
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &hidden = saved[0], &head_weight = saved[1], &rows = saved[2];
    const at::Tensor &target_source = saved[3], &target_token = saved[4];
    const Statistics all{saved[5], saved[6], saved[7]};
    const double temperature = ctx->saved_data["temperature"].toDouble();
    const at::Tensor d_logprob = gradients[0].defined()
                                     ? gradients[0]
                                     : at::zeros_like(target_source, all.entropy.options());
    const bool wants_weight = ctx->needs_input_grad(1);
    const at::Tensor sink = ctx->saved_data["weight_gradient"].toTensor();
    at::Tensor d_weight = sink;
    if (wants_weight && !sink.defined())
      d_weight = at::zeros_like(head_weight, all.entropy.options());

    at::Tensor d_hidden = at::zeros_like(hidden);
    const auto back = [&](const Chunk& chunk) {
      const at::Tensor chunk_rows = chunk.sources_of(rows);
      const Projection projection = project(hidden, head_weight, chunk_rows);
      const at::Tensor d_targets = chunk.targets_of(d_logprob);
      const LogitGradient loss{
          .d_logprob = sum_by_source(chunk, target_source, d_targets),
          .d_entropy = gradients[1].defined() ? chunk.sources_of(gradients[1]) : at::Tensor()};
      at::Tensor d_logits = projection.logits;
      loss.overwrite(d_logits, temperature, all.of(chunk),
                     ctx->saved_data["kernels"].toBool() ? KernelChoice::best
                                                         : KernelChoice::tensor_operations);
      scatter_targets(d_logits, chunk, target_source, target_token, d_targets.div(temperature));
      const at::Tensor grad = d_logits.to(product_dtype(head_weight));
      if (wants_weight)
        add_weight_gradient(d_weight, grad, projection.hidden.to(grad.scalar_type()));
      d_hidden.index_copy_(0, chunk_rows, input_gradient(grad, head_weight));
    };
    for_each_chunk(rows.numel(), target_source, ctx->saved_data["chunk"].toInt(), back);
    if (!wants_weight || sink.defined()) return {d_hidden, {}, {}, {}, {}, {}};
    return {d_hidden, d_weight.to(head_weight.scalar_type()), {}, {}, {}, {}};
  }

 private:
  // The loss's derivatives with respect to the sum of a source's log-probs, and to its entropy
  // (undefined: none), [C]. With p = exp(log p): d log p_t / d z = onehot - p,
  // d entropy / d z = -p (log p + entropy).
  struct LogitGradient {
    at::Tensor d_logprob, d_entropy;

    template <typename T>
    void overwrite_on_cpu(at::Tensor& logits, double temperature, const Statistics& of) const {
      const at::Tensor turn = d_entropy.defined() ? d_entropy.contiguous() : at::Tensor();
      log_softmax_gradient_cpu<T>(logits.mutable_data_ptr<T>(), logits.size(0), logits.size(1),
                                  static_cast<T>(1 / temperature), of.largest.const_data_ptr<T>(),
                                  of.log_sum.const_data_ptr<T>(), of.entropy.const_data_ptr<T>(),
                                  d_logprob.const_data_ptr<T>(),
                                  turn.defined() ? turn.const_data_ptr<T>() : nullptr);
    }

    // All but the onehot.
    void overwrite(at::Tensor& logits, double temperature, const Statistics& of,
                   KernelChoice kernels) const {
      if (use_kernels(logits, kernels)) {
        logits.scalar_type() == at::kDouble ? overwrite_on_cpu<double>(logits, temperature, of)
                                            : overwrite_on_cpu<float>(logits, temperature, of);
        return;
      }
      const at::Tensor logp =
          logits.sub_(of.largest.unsqueeze(1)).mul_(1 / temperature).sub_(of.log_sum.unsqueeze(1));
      const at::Tensor sums = d_logprob.unsqueeze(1);
      if (!d_entropy.defined()) {
        logits.exp_().mul_(sums).mul_(-1 / temperature);
        return;
      }
      const at::Tensor p = logp.exp();
      logits.add_(of.entropy.unsqueeze(1))
          .mul_(d_entropy.unsqueeze(1))
          .add_(sums)
          .mul_(p)
          .mul_(-1 / temperature);
    }
  };
};

}  // namespace

TokenLogprobs token_logprobs(const at::Tensor& hidden, const at::Tensor& head_weight,
                             const at::Tensor& source_row, const at::Tensor& target_source,
                             const at::Tensor& target_token, double temperature, int64_t chunk,
                             const at::Tensor& weight_gradient, KernelChoice kernels) {
  TREEPO_CHECK(hidden.dim() == 2 && head_weight.dim() == 2 && hidden.size(1) == head_weight.size(1),
               "hidden [N, H] and head_weight [V, H]");
  TREEPO_CHECK(temperature > 0 && chunk > 0, "temperature {}, chunk {}", temperature, chunk);
  if (kernels == KernelChoice::best && cuda_serves_token_logprobs(hidden))
    return cuda_token_logprobs(hidden, head_weight, source_row, target_source, target_token,
                               temperature, chunk, weight_gradient);
  const Settings settings{.temperature = temperature,
                          .chunk = chunk,
                          .weight_gradient = weight_gradient,
                          .kernels = kernels};
  const variable_list result = TokenLogprobsFunction::apply(hidden, head_weight, source_row,
                                                            target_source, target_token, settings);
  return {.logprob = result[0], .entropy = result[1]};
}

TargetScores score_targets(const at::Tensor& hidden, const at::Tensor& head_weight,
                           const at::Tensor& source_row, const at::Tensor& target_source,
                           const at::Tensor& target_token, int64_t chunk_size) {
  if (cuda_serves_token_logprobs(hidden))
    return cuda_score_targets(hidden, head_weight, source_row, target_source, target_token,
                              chunk_size);
  const at::NoGradGuard no_grad;
  const int64_t count = target_source.numel();
  const auto options = hidden.options().dtype(softmax_dtype(hidden));
  const TargetScores scores{.logprob = at::empty({count}, options),
                            .most_likely = at::empty({count}, hidden.options().dtype(at::kBool))};
  const Statistics all = empty_statistics(source_row.numel(), options);
  const at::Tensor rows = source_row.to(hidden.device());
  for_each_chunk(source_row.numel(), target_source, chunk_size, [&](const Chunk& chunk) {
    const at::Tensor logits = project(hidden, head_weight, chunk.sources_of(rows)).logits;
    const Picked picked = pick(logits, chunk, target_source, target_token);
    const Statistics of = all.of(chunk);
    compute(logits, 1.0, KernelChoice::best, of);
    chunk.targets_of(scores.most_likely)
        .copy_(picked.logits.eq(of.largest.index_select(0, picked.sources)));
    chunk.targets_of(scores.logprob).copy_(logprobs_of(picked.logits, picked.sources, 1.0, of));
  });
  return scores;
}

}  // namespace treepo
