#pragma once

#include <functional>

#include "config/options.h"
#include "learn/optimizer.h"
#include "model/decoder.h"
#include "text/tokenizer.h"

namespace treepo {

struct WarmStartProgress {
  int64_t step = 0;             // from 1
  double loss = 0;              // mean negative log-prob of a response token, nats
  bool skipped = false;         // this update, for its gradient was not finite…
  int64_t skipped_updates = 0;  // …and so many so far
  int64_t tokens = 0;           // response tokens learned from so far
  double seconds = 0;
};

// Supervised training on the demonstrations of the carry task before reinforcement learning starts,
// with an optimiser of its own. Batch k holds demonstrations k * batch … (k + 1) * batch - 1.
// An update whose gradient is not finite is skipped; throws Error after train.max_skipped_updates
// in a row.
void warm_start(Decoder& decoder, const Tokenizer& tokenizer, const RunOptions& options,
                int32_t eos_id, const std::function<void(const WarmStartProgress&)>& progress);

}  // namespace treepo
