#pragma once

#include <cstdint>

#include "config/options.h"  // OptimizerOptions, ObjectiveOptions

namespace treepo {

// Learning rate of optimiser step `step` (0-based) of `total_steps`. It rises linearly over the
// first warmup_steps, the last of which has the full rate, then stays (constant) or falls over the
// remaining steps along half a cosine or a line to min_lr_ratio of it at step decay_steps (0:
// total_steps), where it stays. Throws Error on an unknown schedule.
double scheduled_learning_rate(const OptimizerOptions& options, int64_t step, int64_t total_steps);

// The objective of step `step` (0-based) of `total_steps`: kl_beta and entropy_beta fall from their
// values to beta_end of them, along a line, half a cosine, or an exponential that loses the same
// share in each step, within beta_steps (0: total_steps), and stay there. Throws Error on an
// unknown schedule.
ObjectiveOptions scheduled_objective(ObjectiveOptions options, int64_t step, int64_t total_steps);

}  // namespace treepo
