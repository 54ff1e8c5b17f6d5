#include "model/reused_memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "base/random.h"

namespace treepo {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

int64_t page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

c10::DataPtr filled(size_t bytes, int value) {
  c10::DataPtr block = reusing_allocator().allocate(bytes);
  std::memset(block.get(), value, bytes);
  return block;
}

bool holds(const c10::DataPtr& block, size_t bytes, int value) {
  const auto* at = static_cast<const unsigned char*>(block.get());
  return std::all_of(at, at + bytes, [&](unsigned char byte) { return byte == value; });
}

TEST(ReusedMemory, AFreedBlockServesTheNextTensorOfItsSize) {
  void* first = filled(40 * kMiB, 1).get();  // freed at once
  const int64_t before = page_faults();
  const c10::DataPtr again = filled(39 * kMiB, 2);
  EXPECT_EQ(again.get(), first);
  EXPECT_LT(page_faults() - before, 16);
  const c10::DataPtr other = filled(39 * kMiB, 3);
  EXPECT_NE(other.get(), again.get());
  EXPECT_TRUE(holds(again, 39 * kMiB, 2));
}

TEST(ReusedMemory, ABlockOfAnotherSizeIsNotWasted) {
  void* large = filled(48 * kMiB, 1).get();
  EXPECT_NE(filled(24 * kMiB, 1).get(), large);
}

// Tensors of random sizes come and go on several threads: none touches another's bytes, and memory
// stays below the most that was used and a slack.
TEST(ReusedMemory, HoldsWhatIsPutThereAndNoMoreThanTheMostUsed) {
  const auto churn = [](uint32_t seed) {
    const RandomStream random(seed, Purpose::generate);
    struct Held {
      c10::DataPtr block;
      size_t bytes;
      int value;
    };
    std::vector<Held> held;
    for (uint32_t i = 0; i < 300; ++i) {
      if (held.size() < 6 || random.integer(0, 1, 0, i) == 0) {
        const auto bytes = static_cast<size_t>(random.integer(1, 6 << 20, 1, i));
        const int value = static_cast<int>(i % 250);
        held.push_back({filled(bytes, value), bytes, value});
      } else {
        const auto last = static_cast<int64_t>(held.size()) - 1;
        std::swap(held[static_cast<size_t>(random.integer(0, last, 2, i))], held.back());
        ASSERT_TRUE(holds(held.back().block, held.back().bytes, held.back().value));
        held.pop_back();
      }
      const ReusedMemory now = ReusedMemory::now();
      ASSERT_LE(now.used + now.kept, now.most_used + ReusedMemory::kSlack);
    }
  };
  std::vector<std::thread> threads;
  for (uint32_t seed = 0; seed < 4; ++seed) threads.emplace_back(churn, seed);
  for (std::thread& thread : threads) thread.join();
  const ReusedMemory now = ReusedMemory::now();
  EXPECT_EQ(now.used, 0);
  EXPECT_GT(now.kept, 0);
}

TEST(ReusedMemory, SmallAndLargeBlocksHaveOneWayBack) {
  for (const size_t bytes : {size_t{0}, size_t{100}, kMiB - 1, kMiB, 3 * kMiB}) {
    void* block = reusing_allocator().raw_allocate(bytes);
    if (bytes > 0) std::memset(block, 1, bytes);
    reusing_allocator().raw_deallocate(block);
  }
  EXPECT_EQ(ReusedMemory::now().used, 0);
}

}  // namespace
}  // namespace treepo
