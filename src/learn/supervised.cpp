#include "learn/supervised.h"

#include <ATen/ATen.h>

#include "learn/loss_scale.h"

namespace treepo {

SupervisedReport supervised_update(Decoder& decoder, AdamW& optimizer,
                                   std::span<const Example> examples, double learning_rate,
                                   const PackRunOptions& options) {
  const PackedTrees whole = pack_examples(examples);
  SupervisedReport report{.tokens = whole.num_targets()};
  if (report.tokens == 0) {
    report.step.skipped = true;
    return report;
  }
  decoder.trainable().zero_gradients();
  LossScale scale(decoder.trainable());
  for (const PackedTrees& pack : split_packs(whole, options.max_tokens)) {
    report.packed_tokens += pack.sequence.size();
    const TokenLogprobs outputs = run_pack(decoder, pack, options);
    const std::vector<double> logprobs = to_host(outputs.logprob);
    const double weight = -1.0 / static_cast<double>(report.tokens);
    for (const double logprob : logprobs) report.loss += weight * logprob;
    std::vector<double> gradient(logprobs.size(), weight), no_entropy;
    scale.apply(gradient, no_entropy);
    backward_pack(outputs, gradient, no_entropy);
  }
  scale.finish();
  report.step = optimizer.step(learning_rate);
  return report;
}

SupervisedScore score_examples(const Decoder& decoder, std::span<const Example> examples,
                               const PackRunOptions& options) {
  SupervisedScore score;
  double loss = 0;
  int64_t right = 0;
  for (const PackedTrees& pack : split_packs(pack_examples(examples), options.max_tokens)) {
    const TargetScores found = score_pack(decoder, pack, options);
    for (const double logprob : to_host(found.logprob)) loss -= logprob;
    right += found.most_likely.sum().item<int64_t>();
    score.tokens += pack.num_targets();
  }
  if (score.tokens == 0) return score;
  score.loss = loss / static_cast<double>(score.tokens);
  score.token_accuracy = static_cast<double>(right) / static_cast<double>(score.tokens);
  return score;
}

}  // namespace treepo
