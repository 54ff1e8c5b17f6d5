#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/options.h"
#include "learn/supervised.h"
#include "text/tokenizer.h"
#include "train/skipped_updates.h"

namespace treepo {

// Supervised training as the warm start and `treepo sft` both do it.
struct SupervisedRun {
  OptimizerOptions optimizer;
  int64_t steps = 0;  // of the learning rate's schedule
  PackRunOptions pack;
  std::function<std::vector<Example>(int64_t step)> batch;  // of step 0, 1, …

  double learning_rate(int64_t step) const;
};

PackRunOptions supervised_pack_options(const RunOptions& options);

// Learns batch(step). Where the gradient is not finite nothing is learned: `skipped` counts it, and
// a warning names the examples; `where`: "step 3".
SupervisedReport supervised_step(Decoder& decoder, AdamW& optimizer, const SupervisedRun& run,
                                 int64_t step, std::string_view where, SkippedUpdates& skipped);

// The prompt with the tokenizer's special tokens; the response ends with EOS.
Example tokenized_example(std::string_view prompt, std::string_view response,
                          const Tokenizer& tokenizer, int32_t eos_id);

// The token that demonstrations end with. Throws Error where the model has none.
int32_t demonstration_eos(const std::vector<int32_t>& eos_ids);

}  // namespace treepo
