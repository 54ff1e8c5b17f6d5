#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace treepo {

// The merges of a BPE model: (left id, right id) -> rank and the id of the two joined. Filled once,
// then read by any thread. Open addressing: a look-up is the inner loop of encoding.
class MergeTable {
 public:
  static constexpr uint32_t kNoRank = UINT32_MAX;

  struct Merge {
    int32_t left = 0, right = 0;
    uint32_t rank = kNoRank;  // lower merges first; kNoRank: this pair does not merge
    int32_t joined = 0;
  };

  explicit MergeTable(size_t num_merges);

  void insert(const Merge& merge);  // replaces the merge of the same pair
  Merge find(int32_t left, int32_t right) const { return slots_[slot_of(left, right)]; }

 private:
  // The pair's slot, or the free one where it belongs.
  size_t slot_of(int32_t left, int32_t right) const {
    const uint64_t key =
        static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
    size_t slot = key * 0x9E3779B97F4A7C15 >> shift_;  // Fibonacci hashing: the high bits
    while (slots_[slot].rank != kNoRank &&
           (slots_[slot].left != left || slots_[slot].right != right)) {
      slot = (slot + 1) & (slots_.size() - 1);
    }
    return slot;
  }

  int shift_;                 // 64 - log2(slots)
  std::vector<Merge> slots_;  // a power of two, at most half of them taken
};

}  // namespace treepo
