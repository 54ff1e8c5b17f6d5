#pragma once

#include <cstdint>

namespace treepo {

// How many threads the program may use. Until it is set: OMP_NUM_THREADS, else the cores that this
// process may run on (affinity, and the CPU quota of its container).
void set_num_threads(int count);  // 0: back to that default
int num_threads();
int available_cores();

// Below this much work for each, a further thread costs more than it saves: waking one takes some
// 10 microseconds, in which a core does about this many multiply-adds.
inline constexpr int64_t kOperationsPerThread = int64_t{1} << 18;

// Threads that work of this many operations is worth: 1 … num_threads().
int threads_for_work(int64_t operations, int64_t operations_per_thread = kOperationsPerThread);

}  // namespace treepo
