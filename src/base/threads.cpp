#include "base/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <sstream>
#include <thread>

#include "base/error.h"
#include "base/files.h"

namespace treepo {

namespace {

std::atomic<int> g_num_threads{0};  // 0: default_threads()

int cores_by_affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  // Fails on machines with more cores than cpu_set_t holds.
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::thread::hardware_concurrency());
}

// A container's limit in whole cores, rounded up; a large number where there is none. The file
// holds "QUOTA PERIOD" in microseconds or "max PERIOD" (cgroup v2).
int cores_by_quota() {
  constexpr int kNoLimit = 1 << 20;
  try {
    std::istringstream text(read_file("/sys/fs/cgroup/cpu.max"));
    int64_t quota = 0, period = 0;
    if (text >> quota >> period && quota > 0 && period > 0)
      return static_cast<int>(std::min<int64_t>((quota + period - 1) / period, kNoLimit));
  } catch (const Error&) {  // no such file: no limit
  }
  return kNoLimit;
}

int default_threads() {
  static const int count = [] {
    const char* variable = std::getenv("OMP_NUM_THREADS");  // may be a list: "4,2"
    const int wanted = variable ? std::atoi(variable) : 0;
    return wanted > 0 ? wanted : available_cores();
  }();
  return count;
}

}  // namespace

int available_cores() {
  return std::max(1, std::min(cores_by_affinity(), cores_by_quota()));
}

void set_num_threads(int count) {
  TREEPO_CHECK(count >= 0, "{} threads", count);
  g_num_threads = count;
}

int num_threads() {
  const int count = g_num_threads;
  return count > 0 ? count : default_threads();
}

int threads_for_work(int64_t operations, int64_t operations_per_thread) {
  return static_cast<int>(
      std::clamp<int64_t>(operations / operations_per_thread, 1, num_threads()));
}

}  // namespace treepo
