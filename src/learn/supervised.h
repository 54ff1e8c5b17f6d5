#pragma once

#include <cstdint>
#include <span>

#include "learn/optimizer.h"
#include "learn/pack.h"
#include "learn/run_pack.h"
#include "model/decoder.h"

namespace treepo {

struct SupervisedReport {
  double loss = 0;            // mean negative log-prob of a response token, nats
  int64_t tokens = 0;         // response tokens
  int64_t packed_tokens = 0;  // run through the model, prompts included
  StepReport step = {};
};

// One optimiser step on examples, loss on their responses only, short examples packed side by side.
// options.temperature divides the logits here as well: 1 unless there is a reason.
SupervisedReport supervised_update(Decoder& decoder, AdamW& optimizer,
                                   std::span<const Example> examples, double learning_rate,
                                   const PackRunOptions& options);

struct SupervisedScore {
  double loss = 0;            // mean negative log-prob of a response token, nats
  double token_accuracy = 0;  // share of response tokens that the model finds most likely
  int64_t tokens = 0;         // response tokens
};

// How well the model predicts the responses, as supervised_update counts them.
SupervisedScore score_examples(const Decoder& decoder, std::span<const Example> examples,
                               const PackRunOptions& options);

}  // namespace treepo
