#include "text/merge_table.h"

#include <bit>

namespace treepo {

MergeTable::MergeTable(size_t num_merges) {
  const size_t slots = std::bit_ceil(2 * num_merges + 2);
  shift_ = 64 - std::countr_zero(slots);
  slots_.resize(slots);
}

void MergeTable::insert(const Merge& merge) {
  slots_[slot_of(merge.left, merge.right)] = merge;
}

}  // namespace treepo
