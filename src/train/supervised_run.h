#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/options.h"
#include "learn/supervised.h"
#include "text/tokenizer.h"

namespace treepo {

// Supervised training as the warm start and `treepo sft` both do it.
struct SupervisedRun {
  OptimizerOptions optimizer;
  int64_t steps = 0;  // of the learning rate's schedule
  PackRunOptions pack;
  std::string name, rate_key;                               // for the error where training diverges
  std::function<std::vector<Example>(int64_t step)> batch;  // of step 0, 1, …

  double learning_rate(int64_t step) const;
};

PackRunOptions supervised_pack_options(const RunOptions& options);

// Learns batch(step). Throws Error where loss or gradient are not finite.
SupervisedReport supervised_step(Decoder& decoder, AdamW& optimizer, const SupervisedRun& run,
                                 int64_t step);

// The prompt with the tokenizer's special tokens; the response ends with EOS.
Example tokenized_example(std::string_view prompt, std::string_view response,
                          const Tokenizer& tokenizer, int32_t eos_id);

// The token that demonstrations end with. Throws Error where the model has none.
int32_t demonstration_eos(const std::vector<int32_t>& eos_ids);

}  // namespace treepo
