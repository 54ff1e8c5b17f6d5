#include "learn/supervised.h"

namespace treepo {

SupervisedReport supervised_update(Decoder& decoder, AdamW& optimizer,
                                   std::span<const Example> examples, double learning_rate,
                                   const PackRunOptions& options) {
  const PackedTrees whole = pack_examples(examples);
  SupervisedReport report{.loss = 0, .tokens = whole.num_targets(), .step = {}};
  if (report.tokens == 0) {
    report.step.skipped = true;
    return report;
  }
  decoder.parameters().zero_gradients();
  for (const PackedTrees& pack : split_packs(whole, options.max_tokens)) {
    const TokenLogprobs outputs = run_pack(decoder, pack, options);
    const std::vector<double> logprobs = to_host(outputs.logprob);
    const double weight = -1.0 / static_cast<double>(report.tokens);
    for (const double logprob : logprobs) report.loss += weight * logprob;
    backward_pack(outputs, std::vector<double>(logprobs.size(), weight), {});
  }
  report.step = optimizer.step(learning_rate);
  return report;
}

}  // namespace treepo
