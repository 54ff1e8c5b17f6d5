#pragma once

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace treepo {

// Counts the bytes of tensors on the CPU that are made while it lives, exactly and without the
// noise of the process's own memory. One at a time.
class TensorMemory {
 public:
  TensorMemory() : before_(c10::GetCPUAllocator()) {
    current_ = peak_ = 0;
    c10::SetCPUAllocator(&allocator(), kPriority);
  }
  ~TensorMemory() { c10::SetCPUAllocator(before_, kPriority); }
  TensorMemory(const TensorMemory&) = delete;
  TensorMemory& operator=(const TensorMemory&) = delete;

  int64_t current() const { return current_; }
  int64_t peak() const { return peak_; }
  void reset_peak() { peak_ = current_.load(); }

 private:
  static constexpr uint8_t kPriority = 100;
  static constexpr size_t kHeader = 64;  // holds the size, and keeps data aligned

  class Counting : public c10::Allocator {
   public:
    c10::DataPtr allocate(size_t size) override {
      void* block = nullptr;
      if (posix_memalign(&block, kHeader, size + kHeader) != 0) throw std::bad_alloc();
      *static_cast<int64_t*>(block) = static_cast<int64_t>(size);
      const int64_t now = current_ += static_cast<int64_t>(size);
      int64_t peak = peak_;
      while (now > peak && !peak_.compare_exchange_weak(peak, now)) {
      }
      void* data = static_cast<char*>(block) + kHeader;
      return {data, data, &release, c10::Device(c10::kCPU)};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &release; }
    void copy_data(void* to, const void* from, size_t count) const override {
      default_copy_data(to, from, count);
    }

   private:
    static void release(void* data) {
      if (data == nullptr) return;
      void* block = static_cast<char*>(data) - kHeader;
      current_ -= *static_cast<int64_t*>(block);
      std::free(block);
    }
  };

  static Counting& allocator() {
    static Counting counting;
    return counting;
  }

  static inline std::atomic<int64_t> current_ = 0, peak_ = 0;
  c10::Allocator* before_;
};

}  // namespace treepo
