#include "learn/run_pack.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "model/packed_forward.h"

namespace treepo {
namespace {

// A view: the vector must outlive the tensor.
at::Tensor view_of(const std::vector<int64_t>& values) {
  return at::from_blob(const_cast<int64_t*>(values.data()),  // only read
                       {static_cast<int64_t>(values.size())}, at::kLong);
}

at::Tensor tensor_like(std::span<const double> values, const at::Tensor& like) {
  return at::from_blob(const_cast<double*>(values.data()),  // only read
                       {static_cast<int64_t>(values.size())}, at::kDouble)
      .to(like.options(), /*non_blocking=*/false, /*copy=*/true);
}

}  // namespace

TokenLogprobs run_pack(const Decoder& decoder, const PackedTrees& pack,
                       const PackRunOptions& options) {
  const at::Tensor hidden = packed_hidden(decoder, pack.sequence, options.checkpoint_layers);
  if (options.checked) check_packed_hidden(decoder, pack.sequence, hidden);
  // Copies: backward reads them after the pack may be gone.
  return token_logprobs(hidden, decoder.head_weight(), view_of(pack.source_row).clone(),
                        view_of(pack.target_source).clone(), view_of(pack.target_token).clone(),
                        options.temperature, options.logit_chunk_tokens, decoder.head_gradient());
}

TargetScores score_pack(const Decoder& decoder, const PackedTrees& pack,
                        const PackRunOptions& options) {
  const at::NoGradGuard no_grad;
  const at::Tensor hidden = packed_hidden(decoder, pack.sequence);
  if (options.checked) check_packed_hidden(decoder, pack.sequence, hidden);
  return score_targets(hidden, decoder.head_weight(), view_of(pack.source_row),
                       view_of(pack.target_source), view_of(pack.target_token),
                       options.logit_chunk_tokens);
}

std::vector<double> to_host(const at::Tensor& values) {
  const at::Tensor host = values.detach().to(at::kCPU, at::kDouble).contiguous();
  return {host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel()};
}

void backward_pack(const TokenLogprobs& outputs, std::span<const double> logprob_gradient,
                   std::span<const double> entropy_gradient) {
  std::vector<at::Tensor> roots = {outputs.logprob};
  std::vector<at::Tensor> gradients = {tensor_like(logprob_gradient, outputs.logprob)};
  if (!entropy_gradient.empty()) {
    roots.push_back(outputs.entropy);
    gradients.push_back(tensor_like(entropy_gradient, outputs.entropy));
  }
  torch::autograd::backward(roots, gradients);
}

std::vector<PackedTrees> make_packs(std::span<const TrainingTree> trees, LeafWeight weighting,
                                    const PackRunOptions& options, MaskedLeaves masked) {
  const PackedTrees whole =
      options.packed ? pack_trees(trees, weighting, masked) : pack_apart(trees, weighting, masked);
  return split_packs(whole, options.max_tokens);
}

}  // namespace treepo
