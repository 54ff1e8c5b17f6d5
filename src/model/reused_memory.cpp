#include "model/reused_memory.h"

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/arithmetic.h"

namespace treepo {

namespace {

int64_t page_bytes() {
  static const int64_t bytes = sysconf(_SC_PAGESIZE);
  return bytes;
}

// Whole pages from the system; null where it has none left.
void* map_block(int64_t bytes) {
  const auto size = static_cast<size_t>(bytes);
  void* block = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) return nullptr;
  madvise(block, size, MADV_HUGEPAGE);  // fewer page faults, where the system has them
  return block;
}

class Blocks {
 public:
  // Null where the system has no memory left.
  void* take(int64_t bytes) {
    const int64_t wanted = divide_up(bytes, page_bytes()) * page_bytes();
    const std::scoped_lock lock(mutex_);
    Block block = take_kept(wanted);
    if (block.at == nullptr) {
      shrink_kept(std::max(sizes_.most_used, sizes_.used + wanted) + ReusedMemory::kSlack -
                  sizes_.used - wanted);
      block = {map_block(wanted), wanted};
    }
    if (block.at == nullptr) {
      shrink_kept(0);
      block.at = map_block(wanted);
    }
    if (block.at == nullptr) return nullptr;
    bytes_of_[block.at] = block.bytes;
    sizes_.used += block.bytes;
    sizes_.most_used = std::max(sizes_.most_used, sizes_.used);
    return block.at;
  }

  // false: it is not one of these.
  bool give_back(void* at) {
    const std::scoped_lock lock(mutex_);
    const auto found = bytes_of_.find(at);
    if (found == bytes_of_.end()) return false;
    sizes_.used -= found->second;
    sizes_.kept += found->second;
    kept_.push_back({at, found->second});
    bytes_of_.erase(found);
    return true;
  }

  ReusedMemory sizes() {
    const std::scoped_lock lock(mutex_);
    return sizes_;
  }

 private:
  struct Block {
    void* at = nullptr;
    int64_t bytes = 0;
  };

  // The smallest kept block that holds `wanted` and wastes an eighth at most.
  Block take_kept(int64_t wanted) {
    auto best = kept_.end();
    for (auto block = kept_.begin(); block != kept_.end(); ++block)
      if (block->bytes >= wanted && block->bytes <= wanted + wanted / 8 &&
          (best == kept_.end() || block->bytes <= best->bytes))  // of equal ones the last freed
        best = block;
    if (best == kept_.end()) return {};
    const Block block = *best;
    kept_.erase(best);
    sizes_.kept -= block.bytes;
    return block;
  }

  void shrink_kept(int64_t limit) {
    auto last = kept_.begin();
    for (; last != kept_.end() && sizes_.kept > limit; ++last) {
      munmap(last->at, static_cast<size_t>(last->bytes));
      sizes_.kept -= last->bytes;
    }
    kept_.erase(kept_.begin(), last);
  }

  std::mutex mutex_;
  std::vector<Block> kept_;  // as they were freed
  std::unordered_map<void*, int64_t> bytes_of_;
  ReusedMemory sizes_;
};

Blocks& blocks() {
  static Blocks& all = *new Blocks;  // tensors may outlive every static object
  return all;
}

class ReusingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (static_cast<int64_t>(bytes) >= ReusedMemory::kSmallestBlock)
      if (void* at = blocks().take(static_cast<int64_t>(bytes)); at != nullptr)
        return {at, at, &free_block, c10::DeviceType::CPU};
    return c10::GetDefaultCPUAllocator()->allocate(bytes);  // which throws where there is none
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

 private:
  static void free_block(void* at) {
    const bool may_be_ours = reinterpret_cast<uintptr_t>(at) % 4096 == 0;
    if (!(may_be_ours && blocks().give_back(at))) c10::GetDefaultCPUAllocator()->raw_deallocate(at);
  }
};

}  // namespace

ReusedMemory ReusedMemory::now() {
  return blocks().sizes();
}

c10::Allocator& reusing_allocator() {
  static ReusingAllocator& allocator = *new ReusingAllocator;
  return allocator;
}

void reuse_tensor_memory() {
  c10::SetCPUAllocator(&reusing_allocator(), /*priority=*/100);
}

}  // namespace treepo
