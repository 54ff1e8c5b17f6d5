#include "model/device_memory.h"

#include <ATen/ATen.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/DeviceGuard.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/timer.h"

namespace treepo {

namespace {

c10::DeviceAllocator& allocator_of(c10::Device device) {
  TREEPO_CHECK(!device.is_cpu(), "the CPU's memory is not a device's");
  return *c10::getDeviceAllocator(device.type());
}

c10::DeviceIndex index_of(c10::Device device) {
  return device.has_index() ? device.index() : c10::DeviceIndex{0};
}

}  // namespace

double measure_copy_bandwidth(c10::Device device) {
  constexpr int64_t kBytes = int64_t{1} << 30;
  constexpr int kRounds = 7, kCopies = 4;
  const auto stream = c10::impl::getDeviceGuardImpl(device.type())->getStream(device);
  const at::Tensor from = at::randint(256, {kBytes}, at::device(device).dtype(at::kByte));
  const at::Tensor to = at::empty_like(from);
  std::vector<double> rates;
  for (int round = 0; round < kRounds; ++round) {
    stream.synchronize();
    const Timer timer;
    for (int i = 0; i < kCopies; ++i) to.copy_(from);
    stream.synchronize();
    rates.push_back(2.0 * kBytes * kCopies / timer.seconds());
  }
  std::nth_element(rates.begin(), rates.begin() + kRounds / 2, rates.end());
  return rates[kRounds / 2];
}

int64_t device_memory_bytes(c10::Device device) {
  return static_cast<int64_t>(allocator_of(device).getMemoryInfo(index_of(device)).second);
}

int64_t peak_device_bytes(c10::Device device) {
  return allocator_of(device).getDeviceStats(index_of(device)).allocated_bytes[0].peak;
}

}  // namespace treepo
