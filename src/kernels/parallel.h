#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "base/threads.h"  // threads_for_work

namespace treepo {

// Both take the work of all calls together in multiply-adds, and stay on the calling thread where
// it is little. For bodies whose results do not depend on how the work is cut.

inline int threads_for(int64_t parts, int64_t operations) {
  if (parts <= 1 || omp_in_parallel()) return 1;
  return static_cast<int>(std::min<int64_t>(threads_for_work(operations), parts));
}

// Calls body(begin, end) for parts of [0, count).
template <typename Body>
void parallel_rows(int64_t count, int64_t operations, const Body& body) {
  const int threads = threads_for(count, operations);
  if (threads == 1) {
    body(int64_t{0}, count);
    return;
  }
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int part = 0; part < threads; ++part)
    body(count * part / threads, count * (part + 1) / threads);
}

// Calls body(task) for each of [0, count), handed out as threads become free.
template <typename Body>
void parallel_tasks(int64_t count, int64_t operations, const Body& body) {
  const int threads = threads_for(count, operations);
  if (threads == 1) {
    for (int64_t task = 0; task < count; ++task) body(task);
    return;
  }
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int64_t task = 0; task < count; ++task) body(task);
}

}  // namespace treepo
