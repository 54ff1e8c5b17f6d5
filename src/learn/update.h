#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "config/options.h"  // ObjectiveOptions
#include "learn/objective.h"
#include "learn/optimizer.h"
#include "learn/pack.h"
#include "learn/run_pack.h"
#include "model/decoder.h"

namespace treepo {

struct UpdateReport {
  ObjectiveStatistics objective;
  StepReport step;
  int64_t trajectories = 0;       // masked ones included
  int64_t trajectory_tokens = 0;  // sum of their lengths
  int64_t unique_tokens = 0;      // decoded tokens in any of them, each once, however they are run
  // Run forward and backward, prompts and what small packs repeat included. Passes that are forward
  // only are not counted: of cut trajectories before ratios of sequences, of old and of reference
  // log-probs.
  int64_t packed_tokens = 0;
  int64_t packs = 0;
  double pack_seconds = 0;  // of the time it took: laying the trees out
};

// Adds the gradient of the loss over the packs to the decoder's gradients (enable_gradients()
// first). `normalizer` is that of the whole optimiser step, so that packs, and ranks, add up. With
// ratios of sequences the packs must hold whole trajectories, together if not each.
ObjectiveStatistics accumulate_gradients(Decoder& decoder, std::span<const PackedTrees> packs,
                                         const ObjectiveOptions& objective, double normalizer,
                                         const PackRunOptions& options);

// One optimiser step on the trees' trajectories: pack, accumulate, step. max_response_tokens:
// longest response that sampling allows (Dr. GRPO divides by it). Masked trajectories are not run
// where masked_leaves(objective) drops them. Trees without any trajectory: nothing happens and the
// step counts as skipped. Throws Error if objective.importance_cap
// or importance_mask is on and the trees bring no recomputed old log-probs.
UpdateReport update(Decoder& decoder, AdamW& optimizer, std::span<const TrainingTree> trees,
                    const ObjectiveOptions& objective, int64_t max_response_tokens,
                    double learning_rate, const PackRunOptions& options);

// Log-probs under the decoder's weights as TrainingTree::old_logprobs (or reference_logprobs) wants
// them: by slot for each tree, NaN where none of its leaves passes.
std::vector<std::vector<double>> compute_logprobs(const Decoder& decoder,
                                                  std::span<const TrainingTree> trees,
                                                  const PackRunOptions& options);

// The optimiser of what training changes; no weight decay for norms and biases, as Hugging Face's
// Trainer has it. Makes the gradients if need be.
AdamW make_optimizer(Decoder& decoder, const OptimizerOptions& options);

}  // namespace treepo
