#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kv/page_pool.h"

namespace treepo {

// Which pages hold the keys and values of which segment. An *entry* is one node of one tree (its
// root: the prompt). A child refers to its parent, so that branching copies nothing.
//
//   entry 0   prompt, 6 tokens          pages [7, 3]     users 2
//   entry 1   parent 0, uses all 6      pages [4]        users 1   a path is decoded in it
//   entry 2   parent 1, uses 2 of it    pages [9]        users 0   nothing is decoded below it
//
// `users` counts the paths that are decoded in an entry and the children that have users. The pages
// of an entry without users stay until room is needed: the longest unused go first, then its tokens
// must be stored again. Counting users of entries, not of pages, makes that O(segments), not
// O(pages).
class TreeCache {
 public:
  // entry_pages: what most entries will take; an entry's list of pages gets room for so many at
  // once, so that it does not grow while a path decodes.
  TreeCache(int32_t num_pages, int32_t page_tokens, int32_t entry_pages = 1);

  // A new empty entry below `parent` (-1: a root), after the first parent_used_tokens tokens of it.
  int32_t add(int32_t parent, int32_t parent_used_tokens);
  // Forgets an entry without users and children; its pages are free.
  void remove(int32_t entry);

  // A path is decoded in `entry` (or no longer): its pages and its ancestors' stay.
  void use(int32_t entry);
  void unuse(int32_t entry);

  // Makes places for up to num_tokens more tokens of an entry in use and appends their slots
  // (page * page_tokens + offset). Returns for how many there was room among the free pages.
  int32_t append(int32_t entry, int32_t num_tokens, std::vector<int32_t>& slots);
  // Frees the pages of the entry that has been without users for longest; false: there is none.
  bool evict_one();
  // Frees the pages of an entry in use beyond its first num_tokens tokens, where no entry that uses
  // more of it has pages. False: there were none.
  bool trim(int32_t entry, int32_t num_tokens);

  int32_t stored(int32_t entry) const { return at(entry).stored; }  // first tokens with a place
  int32_t parent(int32_t entry) const { return at(entry).parent; }
  int32_t parent_used_tokens(int32_t entry) const { return at(entry).parent_used_tokens; }
  std::span<const int32_t> pages(int32_t entry) const { return at(entry).pages; }
  bool in_use(int32_t entry) const { return at(entry).users > 0; }

  int32_t page_tokens() const { return page_tokens_; }
  int32_t pages_for(int64_t num_tokens) const {
    return static_cast<int32_t>((num_tokens + page_tokens_ - 1) / page_tokens_);
  }
  const PagePool& pool() const { return pool_; }
  int32_t num_evictable_pages() const { return num_evictable_pages_; }  // of entries without users
  // Entry ids are below this.
  int32_t max_entries() const { return static_cast<int32_t>(entries_.size()); }
  int32_t num_entries() const { return max_entries() - static_cast<int32_t>(free_.size()); }

  void check_invariants() const;  // throws CheckFailure

 private:
  struct Entry {
    bool live = false;
    int32_t parent = -1;
    int32_t parent_used_tokens = 0;
    int32_t stored = 0;
    int32_t users = 0;
    int32_t children = 0;
    int32_t older = -1, newer = -1;  // neighbours in the list of unused entries that have pages
    std::vector<int32_t> pages;
  };

  Entry& at(int32_t entry) { return entries_[static_cast<size_t>(entry)]; }
  const Entry& at(int32_t entry) const { return entries_[static_cast<size_t>(entry)]; }
  void add_user(int32_t entry);
  void list_unused(int32_t entry);
  void unlist_unused(int32_t entry);
  void free_pages(int32_t entry);

  PagePool pool_;
  int32_t page_tokens_, entry_pages_;
  std::vector<Entry> entries_;
  std::vector<int32_t> free_;  // dead entries
  int32_t oldest_unused_ = -1, newest_unused_ = -1;
  int32_t num_evictable_pages_ = 0;
};

}  // namespace treepo
