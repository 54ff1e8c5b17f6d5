#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace treepo {

// How many threads `work` operations are worth: waking a thread costs about as much as some ten
// thousand of them, so tiny work stays on the calling thread.
inline int threads_for(int64_t work) {
  constexpr int64_t kWorkPerThread = 1 << 16;
  if (work < 2 * kWorkPerThread || omp_in_parallel()) return 1;
  return static_cast<int>(std::min<int64_t>(omp_get_max_threads(), work / kWorkPerThread));
}

// Calls body(begin, end) for parts of [0, count); `work` is the cost of all of it in operations.
// For bodies whose result does not depend on how the range is cut.
template <typename Body>
void parallel_rows(int64_t count, int64_t work, const Body& body) {
  const int threads = static_cast<int>(std::min<int64_t>(threads_for(work), count));
  if (threads <= 1) {
    body(int64_t{0}, count);
    return;
  }
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int part = 0; part < threads; ++part)
    body(count * part / threads, count * (part + 1) / threads);
}

// Calls body(task) for each of [0, count), handed out as threads become free.
template <typename Body>
void parallel_tasks(int64_t count, int64_t work, const Body& body) {
  const int threads = static_cast<int>(std::min<int64_t>(threads_for(work), count));
  if (threads <= 1) {
    for (int64_t task = 0; task < count; ++task) body(task);
    return;
  }
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int64_t task = 0; task < count; ++task) body(task);
}

}  // namespace treepo
