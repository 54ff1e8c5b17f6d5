#include "learn/update.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/timer.h"
#include "learn/loss_scale.h"
#include "learn/loss_terms.h"
#include "learn/sequence_ratio.h"

namespace treepo {
namespace {

// Sums of log-ratios over the packs that hold only a part of some trajectory, which must be known
// before the first of them can be learnt from: these are run forward once more.
std::vector<double> log_ratios_of_cut(const Decoder& decoder, std::span<const PackedTrees> packs,
                                      const PackRunOptions& options) {
  const at::NoGradGuard no_grad;
  std::vector<double> log_ratios(static_cast<size_t>(num_trajectories(packs)));
  for (const PackedTrees& pack : packs) {
    if (!cuts_trajectories(pack)) continue;
    add_log_ratios(pack, to_host(run_pack(decoder, pack, options).logprob), log_ratios);
  }
  return log_ratios;
}

LossCounts count_trees(std::span<const TrainingTree> trees) {
  LossCounts counts;
  for (const TrainingTree& training : trees) {
    counts.trajectories += std::ssize(training.leaves) + training.left_out;
    counts.queries += training.leaves.empty() ? 0 : 1;
    for (const int32_t leaf : training.leaves)
      counts.trajectory_tokens += training.tree->path_tokens(leaf);
  }
  return counts;
}

int64_t count_unique_tokens(const TrainingTree& training) {
  std::vector<int64_t> used_of_node(static_cast<size_t>(training.tree->num_nodes()));
  for (const int32_t leaf : training.leaves) {
    const auto path = training.tree->path(leaf);
    const auto used = training.tree->path_used_tokens(leaf);
    for (size_t n = 1; n < path.size(); ++n) {
      int64_t& most = used_of_node[static_cast<size_t>(path[n])];
      most = std::max(most, int64_t{used[n]});
    }
  }
  return std::accumulate(used_of_node.begin(), used_of_node.end(), int64_t{0});
}

void check_old_logprobs(const PackedTrees& pack, const ObjectiveOptions& objective) {
  if (pack.old_recomputed) return;
  for (const auto& [on, key] :
       {std::pair(objective.importance_cap > 0, "objective.importance_cap = 0"),
        std::pair(objective.importance_mask != ImportanceMask::none,
                  "objective.importance_mask = \"none\"")}) {
    if (!on) continue;
    throw Error("importance ratios compare the sampler's log-probs with recomputed ones",
                fmt::format("set update.recompute_old_logprobs = true, or {}", key));
  }
}

}  // namespace

ObjectiveStatistics accumulate_gradients(Decoder& decoder, std::span<const PackedTrees> packs,
                                         const ObjectiveOptions& objective, double normalizer,
                                         const PackRunOptions& options) {
  const bool by_sequence = uses_sequence_ratio(objective);
  std::vector<double> log_ratios;
  if (by_sequence) log_ratios = log_ratios_of_cut(decoder, packs, options);
  ObjectiveStatistics statistics;
  LossScale scale(decoder.trainable());
  for (const PackedTrees& pack : packs) {
    const TokenLogprobs outputs = run_pack(decoder, pack, options);
    const std::vector<double> logprobs = to_host(outputs.logprob);
    std::vector<double> ratios;
    if (by_sequence) {
      if (!cuts_trajectories(pack)) add_log_ratios(pack, logprobs, log_ratios);
      ratios = sequence_ratios(pack, log_ratios);
    }
    ObjectiveResult result =
        evaluate_objective(pack, logprobs, to_host(outputs.entropy), objective, normalizer, ratios);
    scale.apply(result.logprob_gradient, result.entropy_gradient);
    backward_pack(outputs, result.logprob_gradient, result.entropy_gradient);
    statistics.add(result.statistics);
  }
  scale.finish();
  return statistics;
}

UpdateReport update(Decoder& decoder, AdamW& optimizer, std::span<const TrainingTree> trees,
                    const ObjectiveOptions& objective, int64_t max_response_tokens,
                    double learning_rate, const PackRunOptions& options) {
  const Timer timer;
  const MaskedLeaves masked = masked_leaves(objective);
  const std::vector<PackedTrees> packs =
      make_packs(trees, leaf_weight(objective.kind), options, masked);
  UpdateReport report;
  report.pack_seconds = timer.seconds();
  LossCounts counts = count_trees(trees);
  counts.max_response_tokens = max_response_tokens;
  for (const TrainingTree& training : trees) {
    report.trajectories += std::ssize(training.leaves);
    report.unique_tokens += count_unique_tokens(training);
  }
  report.trajectory_tokens = counts.trajectory_tokens;
  for (const PackedTrees& pack : packs) {
    check_old_logprobs(pack, objective);
    report.packed_tokens += pack.sequence.size();
    ++report.packs;
  }
  if (report.trajectories == 0) {
    report.step.skipped = true;
    return report;
  }
  const double normalizer = loss_normalizer(objective.kind, counts);
  decoder.trainable().zero_gradients();
  report.objective = accumulate_gradients(decoder, packs, objective, normalizer, options);
  if (masked == MaskedLeaves::dropped) count_masked(trees, objective, report.objective);
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
  ParameterStore& parameters = decoder.trainable();
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
