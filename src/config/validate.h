#pragma once

#include "config/options.h"

namespace treepo {

// Rules between several options, each of which is in its own range. Throws Error naming the keys
// and their values at the first that is broken.
void validate(const RunOptions& options);

// The further rules of a training run: that there is data, a model that can be made or a tokenizer
// that fits, and something to learn from.
void validate_for_training(const RunOptions& options);

// And what `treepo sft` needs.
void validate_for_sft(const RunOptions& options);

}  // namespace treepo
