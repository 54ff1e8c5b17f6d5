#pragma once

#include <functional>
#include <string>

#include "config/options.h"
#include "learn/optimizer.h"
#include "model/decoder.h"
#include "text/tokenizer.h"
#include "train/skipped_updates.h"

namespace treepo {

struct WarmStartProgress {
  int64_t step = 0;             // from 1
  double loss = 0;              // mean negative log-prob of a response token, nats
  SkippedUpdates skipped = {};  // for their gradients were not finite
  bool given_up = false;        // train.max_skipped_updates in a row
  int64_t tokens = 0;           // response tokens learned from so far
  double seconds = 0;
};

// Supervised training on the demonstrations of the carry task before reinforcement learning starts,
// with an optimiser of its own. Batch k holds demonstrations k * batch … (k + 1) * batch - 1.
// An update whose gradient is not finite is skipped; after train.max_skipped_updates in a row it
// gives up, with the weights before them. Returns what `progress` was told last.
WarmStartProgress warm_start(Decoder& decoder, const Tokenizer& tokenizer,
                             const RunOptions& options, int32_t eos_id,
                             const std::function<void(const WarmStartProgress&)>& progress);

// "warm start, step 3": where messages say something happened.
std::string warm_start_step(int64_t step);

}  // namespace treepo
