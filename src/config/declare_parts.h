#pragma once

#include "config/option_table.h"
#include "config/options.h"

// What the files that declare options share; for users it is config/declare.h.

namespace treepo {

// Node ids, positions and lengths are 32-bit numbers; their sums must stay far from the end.
inline constexpr int64_t kMost = int64_t{1} << 24;

inline constexpr IntRange kCount = {0, kMost}, kPositive = {1, kMost}, kSeed = {0, kNoLimit};
inline constexpr DoubleRange kAboveZero = {.above_min = true};
inline constexpr DoubleRange kShare = {0, 1};
inline constexpr DoubleRange kBeta = {.min = 0, .max = 1, .below_max = true};

// How a tree grows and how it is sampled: [rollout] to [engine].
void declare_growth_options(OptionTable& table, RunOptions& options);

// From rewards to new weights: [advantage] to [sft].
void declare_training_options(OptionTable& table, RunOptions& options);

}  // namespace treepo
