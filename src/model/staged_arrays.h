#pragma once

#include <ATen/core/Tensor.h>

#include <cstring>
#include <span>
#include <vector>

namespace treepo {

// Host arrays that go to the device in one copy: add() them all, upload(), then ask for each.
class StagedArrays {
 public:
  struct Place {
    int64_t offset = 0, count = 0;
  };

  void clear() { bytes_.clear(); }

  template <typename T>
  Place add(const std::vector<T>& values) {
    return add(std::span<const T>(values));
  }
  template <typename T>
  Place add(std::span<const T> values) {
    constexpr size_t kAlignment = 16;
    const size_t offset = (bytes_.size() + kAlignment - 1) / kAlignment * kAlignment;
    bytes_.resize(offset + values.size() * sizeof(T));
    if (!values.empty())
      std::memcpy(bytes_.data() + offset, values.data(), values.size() * sizeof(T));
    return {static_cast<int64_t>(offset), static_cast<int64_t>(values.size())};
  }

  // From page-locked memory and on the current stream, so that the host does not wait.
  void upload(c10::Device device);

  // On the device.
  template <typename T>
  const T* at(const Place& place) const {
    const auto* bytes = static_cast<const unsigned char*>(device_.const_data_ptr());
    return reinterpret_cast<const T*>(bytes + place.offset);
  }
  at::Tensor int64_tensor(const Place& place) const;  // of an array of int64_t

 private:
  std::vector<unsigned char> bytes_;
  at::Tensor device_;  // uint8
};

}  // namespace treepo
