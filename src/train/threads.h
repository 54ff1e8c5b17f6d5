#pragma once

#include <cstdint>

namespace treepo {

// Gives torch, OpenMP and treepo's own kernels `threads` threads (0: all cores).
// Returns the number.
int64_t use_threads(int64_t threads);

// The number of threads a run goes on with: results repeat bit by bit with the same number only.
// `wanted`: train.threads (0: any); `saved`: of the run's checkpoint (0: none).
// Throws Error where they differ.
int64_t resumed_threads(int64_t wanted, int64_t saved);

}  // namespace treepo
