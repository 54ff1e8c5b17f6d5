#include "kv/page_pool.h"

#include <numeric>

#include "base/error.h"

namespace treepo {

PagePool::PagePool(int32_t num_pages)
    : free_(static_cast<size_t>(num_pages)), taken_(static_cast<size_t>(num_pages)) {
  std::iota(free_.rbegin(), free_.rend(), 0);  // page 0 is taken first
}

int32_t PagePool::take() {
  if (free_.empty()) return -1;
  const int32_t page = free_.back();
  free_.pop_back();
  taken_[static_cast<size_t>(page)] = 1;
  return page;
}

void PagePool::give_back(int32_t page) {
  TREEPO_CHECK(page >= 0 && page < num_pages() && is_taken(page), "page {} is not taken", page);
  taken_[static_cast<size_t>(page)] = 0;
  free_.push_back(page);
}

void PagePool::check_invariants() const {
  std::vector<uint8_t> seen = taken_;
  for (const int32_t page : free_) {
    TREEPO_CHECK(page >= 0 && page < num_pages(), "free page {} of {}", page, num_pages());
    TREEPO_CHECK(seen[static_cast<size_t>(page)] == 0, "page {} is free twice, or taken", page);
    seen[static_cast<size_t>(page)] = 1;
  }
  for (size_t page = 0; page < seen.size(); ++page) {
    TREEPO_CHECK(seen[page] == 1, "page {} is neither free nor taken", page);
  }
}

}  // namespace treepo
