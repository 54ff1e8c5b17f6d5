#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "evaluate/sampling_benchmark.h"

namespace treepo {

// What holds for all cases of one benchmark.
struct SamplingMachine {
  std::string device, dtype;
  int64_t threads = 0;
  double read_bandwidth = 0;      // bytes per second (evaluate/machine_roof.h)
  int64_t peak_memory_bytes = 0;  // of the process, all cases together
};

// Speeds, sharing and where the time went, a line for each case. Shares of the time add up to 100%;
// of the roof: computed bytes per second, which caches may have held some of.
std::string speed_table(std::span<const SamplingMeasurement> measured,
                        const SamplingMachine& machine);

// Each case of trees against its sequential sampling, a line each.
std::string ratio_lines(std::span<const SamplingMeasurement> measured);

// The unique share of each depth, a line for each case of trees.
std::string depth_lines(std::span<const SamplingMeasurement> measured);

// Accuracy beside tokens and seconds, and the shares of time, trajectory tokens and decoded tokens
// that trees save against sequential sampling of as many trajectories (Table 2 and Figure 9 of
// arXiv 2508.17445); empty where nothing was judged.
std::string accuracy_table(std::span<const SamplingMeasurement> measured);

// Of one case; `measured` holds its baseline.
OrderedJson sampling_json(std::span<const SamplingMeasurement> measured,
                          const SamplingMeasurement& one, const SamplingMachine& machine);

}  // namespace treepo
