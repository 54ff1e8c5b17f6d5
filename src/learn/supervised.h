#pragma once

#include <cstdint>
#include <span>

#include "learn/optimizer.h"
#include "learn/pack.h"
#include "learn/run_pack.h"
#include "model/decoder.h"

namespace treepo {

struct SupervisedReport {
  double loss = 0;     // mean negative log-prob of a response token, nats
  int64_t tokens = 0;  // response tokens
  StepReport step;
};

// One optimiser step on examples, loss on their responses only, short examples packed side by side.
// options.temperature divides the logits here as well: 1 unless there is a reason.
SupervisedReport supervised_update(Decoder& decoder, AdamW& optimizer,
                                   std::span<const Example> examples, double learning_rate,
                                   const PackRunOptions& options);

}  // namespace treepo
