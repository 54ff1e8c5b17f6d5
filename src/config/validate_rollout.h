#pragma once

#include "config/options.h"

namespace treepo {

// The rules between the options of how trees grow (rollout.*) and paths end (stop.*). Throws Error
// naming the keys and their values at the first that is broken.
void validate_rollout(const GrowthOptions& growth, const StopOptions& stop);

// That rollout.tokens_per_step, where it is the budget, has a segment for each of so many queries
// that are sampled together. Throws Error.
void validate_tokens_per_step(const GrowthOptions& growth, int64_t num_queries);

}  // namespace treepo
