#include "evaluate/machine_roof.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <limits>
#include <sstream>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/timer.h"

namespace treepo {

namespace {

// Several sums side by side, so that additions do not wait for each other.
uint64_t sum_of(const uint64_t* from, const uint64_t* end) {
  constexpr size_t kSums = 32;
  uint64_t sums[kSums] = {};
  for (; from + kSums <= end; from += kSums)
    for (size_t i = 0; i < kSums; ++i) sums[i] += from[i];
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

double measure_read_bandwidth(int threads) {
  constexpr size_t kBytes = size_t{256} << 20;
  constexpr int kRounds = 7;
  const std::vector<uint64_t> numbers(kBytes / sizeof(uint64_t), 1);
  const size_t share = numbers.size() / static_cast<size_t>(threads);
  std::atomic<uint64_t> total = 0;  // is read by nobody, but keeps the sums alive
  std::vector<double> rates;
  for (int round = 0; round < kRounds; ++round) {
    const Timer timer;
    std::vector<std::jthread> workers;
    for (int i = 0; i < threads; ++i) {
      const uint64_t* from = numbers.data() + static_cast<size_t>(i) * share;
      workers.emplace_back([&total, from, share] { total += sum_of(from, from + share); });
    }
    workers.clear();  // joins
    rates.push_back(static_cast<double>(share * sizeof(uint64_t)) * threads / timer.seconds());
  }
  std::nth_element(rates.begin(), rates.begin() + kRounds / 2, rates.end());
  return rates[kRounds / 2];
}

int64_t machine_memory_bytes() {
  int64_t limit = std::numeric_limits<int64_t>::max();
  try {  // a number of bytes, or "max" (cgroup v2)
    std::istringstream text(read_file("/sys/fs/cgroup/memory.max"));
    if (int64_t bytes = 0; text >> bytes && bytes > 0) limit = bytes;
  } catch (const Error&) {  // no such file: no limit
  }
  return std::min(limit, int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE));
}

int64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

}  // namespace treepo
