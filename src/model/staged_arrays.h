#pragma once

#include <ATen/core/Tensor.h>

#include <cstring>
#include <span>
#include <vector>

namespace treepo {

// Host arrays that go to the device in one copy: add() them all, upload(), then ask for each. The
// memory there is kept, so arrays of the same sizes lie in the same places each time; what uses
// them must be on the stream of the next upload.
class StagedArrays {
 public:
  struct Place {
    int64_t offset = 0, count = 0;

    bool operator==(const Place&) const = default;
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
  template <typename T>
  T* mutable_at(const Place& place) {
    return const_cast<T*>(at<T>(place));
  }
  // Waits for what the current stream was given, and brings the first `count` values back.
  template <typename T>
  void download(const Place& place, size_t count, std::vector<T>& values) const {
    const at::Tensor bytes = host_bytes(place.offset, static_cast<int64_t>(count * sizeof(T)));
    values.resize(count);
    if (count > 0) std::memcpy(values.data(), bytes.const_data_ptr(), count * sizeof(T));
  }
  const void* memory() const { return device_.const_data_ptr(); }  // that all places count from

 private:
  at::Tensor host_bytes(int64_t offset, int64_t count) const;

  std::vector<unsigned char> bytes_;
  at::Tensor device_;  // uint8, as long as the longest so far
};

}  // namespace treepo
