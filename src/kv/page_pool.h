#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace treepo {

// Which pages of a key/value cache are taken. Ids only: the bytes belong to the model.
//   free_  [5, 2, 0]   the next page is taken from its end
//   taken_ [0, 1, 0, 1, 1, 0]
class PagePool {
 public:
  explicit PagePool(int32_t num_pages);

  int32_t take();  // a page id, or -1 when none is free
  void give_back(int32_t page);

  int32_t num_pages() const { return static_cast<int32_t>(taken_.size()); }
  int32_t num_free() const { return static_cast<int32_t>(free_.size()); }
  bool is_taken(int32_t page) const { return taken_[static_cast<size_t>(page)] != 0; }

  void check_invariants() const;  // throws CheckFailure

 private:
  std::vector<int32_t> free_;
  std::vector<uint8_t> taken_;
};

}  // namespace treepo
