#pragma once

#include "config/options.h"

namespace treepo {

// Rules between several options, each of which is in its own range. Throws Error naming the keys
// and their values at the first that is broken.
void validate(const RunOptions& options);

// The further rules of a training run: that there is data, a model that can be made or a tokenizer
// that fits, and something to learn from.
void validate_for_training(const RunOptions& options);

// That rollout.tokens_per_step, where it is the budget, has a segment for each of so many queries
// that are sampled together. Throws Error.
void validate_tokens_per_step(const GrowthOptions& growth, int64_t num_queries);

// And what `treepo sft` needs.
void validate_for_sft(const RunOptions& options);

}  // namespace treepo
