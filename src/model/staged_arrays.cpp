#include "model/staged_arrays.h"

#include <ATen/ATen.h>

#include <bit>

namespace treepo {

void StagedArrays::upload(c10::Device device) {
  const auto count = static_cast<int64_t>(bytes_.size());
  // A block of page-locked memory is handed out again only when the copy from it is done.
  const at::Tensor host =
      at::empty({count}, at::TensorOptions(at::kByte).pinned_memory(!device.is_cpu()));
  if (count > 0) std::memcpy(host.mutable_data_ptr(), bytes_.data(), bytes_.size());
  if (!device_.defined() || device_.numel() < count)
    device_ = at::empty({static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(count)))},
                        at::device(device).dtype(at::kByte));
  device_.narrow(0, 0, count).copy_(host, /*non_blocking=*/true);
}

at::Tensor StagedArrays::host_bytes(int64_t offset, int64_t count) const {
  return device_.narrow(0, offset, count).to(at::kCPU);
}

at::Tensor StagedArrays::int64_tensor(const Place& place) const {
  constexpr auto kBytes = static_cast<int64_t>(sizeof(int64_t));
  return device_.narrow(0, place.offset, place.count * kBytes).view(at::kLong);
}

}  // namespace treepo
