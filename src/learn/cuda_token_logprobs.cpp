#include "learn/cuda_token_logprobs.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "model/cuda_kernels.h"
#include "model/linear.h"

namespace treepo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Which tokens are wanted of which sources, on the device.
struct Targets {
  at::Tensor row;    // [S] of hidden
  at::Tensor begin;  // [S + 1]: source s has targets [begin[s], begin[s + 1])
  at::Tensor token;  // [M]

  int64_t num_sources() const { return row.numel(); }
};

// Number of targets of the sources before each. [S + 1], of ascending target_source [M].
at::Tensor targets_before(const at::Tensor& target_source, int64_t num_sources) {
  return at::searchsorted(target_source, at::arange(num_sources + 1, at::kLong));
}

// One copy to the device, for which the host waits.
Targets upload(const at::Tensor& source_row, const at::Tensor& target_source,
               const at::Tensor& target_token, c10::Device device) {
  const int64_t s = source_row.numel(), m = target_token.numel();
  const at::Tensor all =
      at::cat({source_row, targets_before(target_source, s), target_token}).to(device);
  return {.row = all.narrow(0, 0, s),
          .begin = all.narrow(0, s, s + 1),
          .token = all.narrow(0, 2 * s + 1, m)};
}

// What the statistics kernel finds. [S], and log-probs [M]; float32.
struct Statistics {
  at::Tensor largest, log_sum, entropy, logprob;
};

Statistics empty_statistics(const Targets& targets, c10::Device device) {
  const auto floats = [&](int64_t n) {
    return at::empty({n}, at::device(device).dtype(at::kFloat));
  };
  const int64_t s = targets.num_sources();
  return {floats(s), floats(s), floats(s), floats(targets.token.numel())};
}

// Sources [begin, begin + size) with their logits.
struct Chunk {
  int64_t begin = 0, size = 0;
  at::Tensor rows;    // [size] of hidden
  at::Tensor hidden;  // [size, H]
  at::Tensor logits;  // [size, V]
};

// Calls f(chunk) for all sources in order.
template <typename F>
void for_each_chunk(const at::Tensor& hidden, const at::Tensor& head_weight, const Targets& targets,
                    int64_t chunk_size, const F& f) {
  for (int64_t begin = 0; begin < targets.num_sources(); begin += chunk_size) {
    const int64_t size = std::min(chunk_size, targets.num_sources() - begin);
    Chunk chunk{.begin = begin,
                .size = size,
                .rows = targets.row.narrow(0, begin, size),
                .hidden = {},
                .logits = {}};
    chunk.hidden = hidden.index_select(0, chunk.rows);
    chunk.logits = chunk.hidden.mm(head_weight.t());
    f(chunk);
  }
}

// Targets and their arrays stay whole: target_begin counts from the first of all.
CudaLogSoftmax kernel_work(Chunk& chunk, const Targets& targets, const Statistics& statistics,
                           double temperature) {
  const auto of_chunk = [&](const at::Tensor& t) { return t.data_ptr<float>() + chunk.begin; };
  CudaLogSoftmax work;
  work.type = cuda_type(chunk.logits.scalar_type());
  work.logits = chunk.logits.mutable_data_ptr();
  work.rows = chunk.size;
  work.vocab_size = static_cast<int32_t>(chunk.logits.size(1));
  work.inverse_temperature = static_cast<float>(1 / temperature);
  work.target_begin = targets.begin.const_data_ptr<int64_t>() + chunk.begin;
  work.target_token = targets.token.const_data_ptr<int64_t>();
  work.largest = of_chunk(statistics.largest);
  work.log_sum = of_chunk(statistics.log_sum);
  work.entropy = of_chunk(statistics.entropy);
  work.logprob = statistics.logprob.data_ptr<float>();
  return work;
}

void compute_statistics(Chunk& chunk, const Targets& targets, double temperature,
                        const Statistics& out) {
  const c10::Device device = chunk.logits.device();
  const CudaKernels& kernels = *cuda_kernels_on(device);
  check_cuda(kernels, kernels.log_softmax_statistics(
                          CudaStream(device), kernel_work(chunk, targets, out, temperature)));
}

struct Settings {
  double temperature = 1;
  int64_t chunk = 0;
  at::Tensor weight_gradient;  // undefined: autograd gets it
};

class CudaTokenLogprobs : public torch::autograd::Function<CudaTokenLogprobs> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& hidden,
                               const at::Tensor& head_weight, const Targets& targets,
                               const Settings& settings) {
    const Statistics all = empty_statistics(targets, hidden.device());
    for_each_chunk(hidden, head_weight, targets, settings.chunk, [&](Chunk& chunk) {
      compute_statistics(chunk, targets, settings.temperature, all);
    });
    ctx->save_for_backward({hidden, head_weight, targets.row, targets.begin, targets.token,
                            all.largest, all.log_sum, all.entropy, all.logprob});
    ctx->set_materialize_grads(false);  // no entropy term: its gradient stays undefined
    ctx->saved_data["temperature"] = settings.temperature;
    ctx->saved_data["chunk"] = settings.chunk;
    ctx->saved_data["weight_gradient"] = settings.weight_gradient;
    return {all.logprob, all.entropy};
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &hidden = saved[0], &head_weight = saved[1];
    const Targets targets{saved[2], saved[3], saved[4]};
    const Statistics all{saved[5], saved[6], saved[7], saved[8]};
    const LogitGradient loss{
        .temperature = ctx->saved_data["temperature"].toDouble(),
        .d_logprob =
            gradients[0].defined() ? gradients[0].contiguous() : at::zeros_like(all.logprob),
        .d_entropy = gradients[1].defined() ? gradients[1].contiguous() : at::Tensor()};
    const bool wants_weight = ctx->needs_input_grad(1);
    const at::Tensor sink = ctx->saved_data["weight_gradient"].toTensor();
    at::Tensor d_weight = sink;
    if (wants_weight && !sink.defined())
      d_weight = at::zeros_like(head_weight, head_weight.options().dtype(at::kFloat));

    at::Tensor d_hidden = at::zeros_like(hidden);
    const auto back = [&](Chunk& chunk) {
      loss.overwrite(chunk, targets, all);
      if (wants_weight) add_weight_gradient(d_weight, chunk.logits, chunk.hidden);
      d_hidden.index_copy_(0, chunk.rows, chunk.logits.mm(head_weight));
    };
    for_each_chunk(hidden, head_weight, targets, ctx->saved_data["chunk"].toInt(), back);
    if (!wants_weight || sink.defined()) return {d_hidden, {}, {}, {}};
    return {d_hidden, d_weight.to(head_weight.scalar_type()), {}, {}};
  }

 private:
  struct LogitGradient {
    double temperature = 1;
    at::Tensor d_logprob;  // [M]
    at::Tensor d_entropy;  // [S]; undefined: none

    // A chunk's logits by the loss's derivatives with respect to them.
    void overwrite(Chunk& chunk, const Targets& targets, const Statistics& statistics) const {
      const c10::Device device = chunk.logits.device();
      const CudaKernels& kernels = *cuda_kernels_on(device);
      CudaLogSoftmax work = kernel_work(chunk, targets, statistics, temperature);
      work.d_logprob = d_logprob.const_data_ptr<float>();
      if (d_entropy.defined()) work.d_entropy = d_entropy.const_data_ptr<float>() + chunk.begin;
      check_cuda(kernels, kernels.log_softmax_gradient(CudaStream(device), work));
    }
  };
};

}  // namespace

bool cuda_serves_token_logprobs(const at::Tensor& hidden) {
  return cuda_kernels_on(hidden.device()) != nullptr && hidden.scalar_type() != at::kDouble;
}

TokenLogprobs cuda_token_logprobs(const at::Tensor& hidden, const at::Tensor& head_weight,
                                  const at::Tensor& source_row, const at::Tensor& target_source,
                                  const at::Tensor& target_token, double temperature, int64_t chunk,
                                  const at::Tensor& weight_gradient) {
  const Targets targets = upload(source_row, target_source, target_token, hidden.device());
  const variable_list result = CudaTokenLogprobs::apply(
      hidden, head_weight, targets,
      Settings{.temperature = temperature, .chunk = chunk, .weight_gradient = weight_gradient});
  return {.logprob = result[0], .entropy = result[1]};
}

TargetScores cuda_score_targets(const at::Tensor& hidden, const at::Tensor& head_weight,
                                const at::Tensor& source_row, const at::Tensor& target_source,
                                const at::Tensor& target_token, int64_t chunk_size) {
  const at::NoGradGuard no_grad;
  const Targets targets = upload(source_row, target_source, target_token, hidden.device());
  const at::Tensor sources = target_source.to(hidden.device());
  const at::Tensor before = targets_before(target_source, source_row.numel());
  const Statistics all = empty_statistics(targets, hidden.device());
  const at::Tensor most_likely =
      at::empty({target_token.numel()}, hidden.options().dtype(at::kBool));
  for_each_chunk(hidden, head_weight, targets, chunk_size, [&](Chunk& chunk) {
    compute_statistics(chunk, targets, 1.0, all);
    const int64_t first = before[chunk.begin].item<int64_t>();
    const int64_t count = before[chunk.begin + chunk.size].item<int64_t>() - first;
    const at::Tensor of = sources.narrow(0, first, count);
    const at::Tensor picked =
        chunk.logits.index({of - chunk.begin, targets.token.narrow(0, first, count)});
    most_likely.narrow(0, first, count)
        .copy_(picked.to(at::kFloat).eq(all.largest.index_select(0, of)));
  });
  return {.logprob = all.logprob, .most_likely = most_likely};
}

}  // namespace treepo
