#include "learn/update.h"

#include <ATen/ATen.h>

#include <limits>

#include "base/error.h"
#include "base/timer.h"

namespace treepo {

ObjectiveStatistics accumulate_gradients(Decoder& decoder, std::span<const PackedTrees> packs,
                                         const ObjectiveOptions& objective, double normalizer,
                                         const PackRunOptions& options) {
  ObjectiveStatistics statistics;
  for (const PackedTrees& pack : packs) {
    const TokenLogprobs outputs = run_pack(decoder, pack, options);
    const ObjectiveResult result = evaluate_objective(
        pack, to_host(outputs.logprob), to_host(outputs.entropy), objective, normalizer);
    backward_pack(outputs, result.logprob_gradient, result.entropy_gradient);
    statistics.add(result.statistics);
  }
  return statistics;
}

UpdateReport update(Decoder& decoder, AdamW& optimizer, std::span<const TrainingTree> trees,
                    const ObjectiveOptions& objective, int64_t max_response_tokens,
                    double learning_rate, const PackRunOptions& options) {
  const Timer timer;
  const std::vector<PackedTrees> packs = make_packs(trees, leaf_weight(objective.kind), options);
  UpdateReport report;
  report.pack_seconds = timer.seconds();
  for (const TrainingTree& tree : trees) {
    report.trajectories += static_cast<int64_t>(tree.leaves.size());
  }
  for (const PackedTrees& pack : packs) {
    if (objective.importance_cap > 0 && !pack.old_recomputed) {
      throw Error("objective.importance_cap corrects the sampler's log-probs by recomputed ones",
                  "set update.recompute_old_logprobs = true, or objective.importance_cap = 0");
    }
    report.trajectory_tokens += pack.trajectory_tokens();
    report.unique_tokens += pack.num_targets();
    report.packed_tokens += pack.sequence.size();
    ++report.packs;
  }
  if (packs.empty()) {
    report.step.skipped = true;
    return report;
  }
  const double normalizer = loss_normalizer(objective.kind, report.trajectory_tokens,
                                            report.trajectories, max_response_tokens);
  decoder.parameters().zero_gradients();
  report.objective = accumulate_gradients(decoder, packs, objective, normalizer, options);
  report.step = optimizer.step(learning_rate);
  return report;
}

std::vector<std::vector<double>> compute_logprobs(const Decoder& decoder,
                                                  std::span<const TrainingTree> trees,
                                                  const PackRunOptions& options) {
  const at::NoGradGuard no_grad;
  std::vector<std::vector<double>> logprobs;
  for (const TrainingTree& training : trees) {
    logprobs.emplace_back(static_cast<size_t>(training.tree->num_nodes()) *
                              static_cast<size_t>(training.tree->segment_tokens()),
                          std::numeric_limits<double>::quiet_NaN());
  }
  for (const PackedTrees& pack : make_packs(trees, LeafWeight::one, options)) {
    const std::vector<double> values = to_host(run_pack(decoder, pack, options).logprob);
    for (size_t t = 0; t < values.size(); ++t) {
      logprobs[static_cast<size_t>(pack.target_tree[t])][static_cast<size_t>(pack.target_slot[t])] =
          values[t];
    }
  }
  return logprobs;
}

AdamW make_optimizer(Decoder& decoder, const OptimizerOptions& options) {
  ParameterStore& parameters = decoder.parameters();
  parameters.enable_gradients();
  std::vector<ParameterRange> ranges;
  for (const auto& [name, tensor] : parameters.named_tensors()) {
    const int64_t begin = tensor.storage_offset() - parameters.values().storage_offset();
    const bool decay = tensor.dim() > 1;
    if (!ranges.empty() && ranges.back().decay == decay) {  // padding between them is 0 and stays 0
      ranges.back().end = begin + tensor.numel();
    } else {
      ranges.push_back({.begin = begin, .end = begin + tensor.numel(), .decay = decay});
    }
  }
  return AdamW(parameters.values(), parameters.gradients(), std::move(ranges), options);
}

}  // namespace treepo
