#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>
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

// As parallel_tasks, but half of the threads begin with the first tasks, half with the last ones.
template <typename Body>
void parallel_from_both_ends(int64_t count, int64_t operations, const Body& body) {
  const int threads = threads_for(count, operations);
  if (threads == 1) {
    for (int64_t task = 0; task < count; ++task) body(task);
    return;
  }
  std::atomic<int64_t> taken{0}, from_front{0}, from_back{0};
#pragma omp parallel num_threads(threads)
  {
    const bool at_front = omp_get_thread_num() % 2 == 0;
    while (taken.fetch_add(1) < count)
      body(at_front ? from_front.fetch_add(1) : count - 1 - from_back.fetch_add(1));
  }
}

}  // namespace treepo
