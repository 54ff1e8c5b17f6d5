#pragma once

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/timer.h"
#include "model/cuda_kernels.h"
#include "model/device.h"
#include "model/device_memory.h"

namespace treepo {

// What a GPU is measured against, in bfloat16.
struct GpuRates {
  double copy_bandwidth = 0;  // bytes/s, read and written
  double product_rate = 0;    // floating-point operations/s of matrix products
};

// The first GPU; none: says so and gives nothing.
inline std::optional<c10::Device> gpu_or_skip() {
  try {
    return parse_device("cuda");
  } catch (const Error& error) {
    fmt::print("SKIPPED: no GPU: {}\n", error.what());
    return std::nullopt;
  }
}

inline void wait_for(c10::Device device) {
  c10::impl::getDeviceGuardImpl(c10::kCUDA)->getStream(device).synchronize();
}

// Seconds of f: the median of five groups of calls, each group waited for once.
inline double median_seconds(c10::Device device, int repetitions, const std::function<void()>& f) {
  f();
  wait_for(device);
  std::vector<double> seconds;
  for (int group = 0; group < 5; ++group) {
    const Timer timer;
    for (int i = 0; i < repetitions; ++i) f();
    wait_for(device);
    seconds.push_back(timer.seconds() / repetitions);
  }
  std::nth_element(seconds.begin(), seconds.begin() + 2, seconds.end());
  return seconds[2];
}

inline GpuRates measure_rates(c10::Device device) {
  const auto options = at::device(device).dtype(at::kBFloat16);
  GpuRates rates;
  rates.copy_bandwidth = measure_copy_bandwidth(device);
  const at::Tensor a = at::randn({8192, 8192}, options);
  rates.product_rate = 2 * std::pow(8192.0, 3) / median_seconds(device, 10, [&] { a.mm(a); });
  fmt::print("copy {:.0f} GB/s, bf16 products {:.0f} TFLOP/s, {} multiprocessors\n",
             rates.copy_bandwidth * 1e-9, rates.product_rate * 1e-12,
             cuda_library_kernels()->num_multiprocessors(device.index()));
  return rates;
}

// Runs f once under PyTorch's profiler; prints the time of the GPU's kernels by name, the longest
// first, and how long the GPU was busy.
inline void print_kernel_times(c10::Device device, const std::function<void()>& f) {
  using namespace torch::autograd::profiler;
  const ProfilerConfig config(ProfilerState::KINETO);
  const std::set<ActivityType> activities = {ActivityType::CPU, ActivityType::CUDA};
  prepareProfiler(config, activities);
  enableProfiler(config, activities);
  const Timer timer;
  f();
  wait_for(device);
  const double seconds = timer.seconds();
  const auto result = disableProfiler();
  struct Sum {
    double seconds = 0;
    int64_t count = 0;
  };
  std::map<std::string, Sum> by_name;
  double busy = 0;
  for (const KinetoEvent& event : result->events()) {
    if (event.deviceType() != c10::DeviceType::CUDA) continue;
    Sum& sum = by_name[event.name().substr(0, 110)];
    sum.seconds += 1e-9 * static_cast<double>(event.durationNs());
    ++sum.count;
    busy += 1e-9 * static_cast<double>(event.durationNs());
  }
  std::vector<std::pair<std::string, Sum>> sorted(by_name.begin(), by_name.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
  fmt::print("  GPU busy {:.2f} of {:.2f} ms\n", 1e3 * busy, 1e3 * seconds);
  constexpr size_t kShown = 24;
  for (size_t i = 0; i < std::min(kShown, sorted.size()); ++i)
    fmt::print("  {:9.3f} ms {:6}  {}\n", 1e3 * sorted[i].second.seconds, sorted[i].second.count,
               sorted[i].first);
}

}  // namespace treepo
