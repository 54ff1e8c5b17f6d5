#include "kv/tree_cache.h"

#include <algorithm>

#include "base/error.h"

namespace treepo {

TreeCache::TreeCache(int32_t num_pages, int32_t page_tokens, int32_t entry_pages)
    : pool_(num_pages), page_tokens_(page_tokens), entry_pages_(entry_pages) {
  TREEPO_CHECK(page_tokens >= 1, "pages of {} tokens", page_tokens);
}

int32_t TreeCache::add(int32_t parent, int32_t parent_used_tokens) {
  int32_t id = max_entries();
  if (free_.empty()) {
    entries_.emplace_back();
  } else {
    id = free_.back();
    free_.pop_back();
  }
  Entry& entry = at(id);
  entry.live = true;
  entry.parent = parent;
  entry.parent_used_tokens = parent_used_tokens;
  entry.pages.reserve(static_cast<size_t>(entry_pages_));
  if (parent >= 0) ++at(parent).children;
  return id;
}

void TreeCache::remove(int32_t id) {
  Entry& entry = at(id);
  TREEPO_CHECK(entry.live && entry.users == 0 && entry.children == 0,
               "entry {} has {} users and {} children", id, entry.users, entry.children);
  if (!entry.pages.empty()) {
    unlist_unused(id);
    free_pages(id);
  }
  if (entry.parent >= 0) --at(entry.parent).children;
  entry.live = false;
  free_.push_back(id);
}

void TreeCache::use(int32_t id) {
  // The first user of an entry makes the entry a user of its parent.
  for (; id >= 0; id = at(id).parent) {
    Entry& entry = at(id);
    if (entry.users++ > 0) return;
    if (!entry.pages.empty()) unlist_unused(id);
  }
}

void TreeCache::unuse(int32_t id) {
  for (; id >= 0; id = at(id).parent) {
    Entry& entry = at(id);
    TREEPO_CHECK(entry.users > 0, "entry {} has no users", id);
    if (--entry.users > 0) return;
    // Children before parents, so that the list never frees a parent below which pages remain.
    if (!entry.pages.empty()) list_unused(id);
  }
}

int32_t TreeCache::append(int32_t id, int32_t num_tokens, std::vector<int32_t>& slots) {
  Entry& entry = at(id);
  TREEPO_CHECK(entry.users > 0, "tokens are appended to entry {} without users", id);
  for (int32_t i = 0; i < num_tokens; ++i) {
    const int32_t offset = entry.stored % page_tokens_;
    if (offset == 0) {
      const int32_t page = pool_.take();
      if (page < 0) return i;
      entry.pages.push_back(page);
    }
    slots.push_back(entry.pages.back() * page_tokens_ + offset);
    ++entry.stored;
  }
  return num_tokens;
}

bool TreeCache::evict_one() {
  if (oldest_unused_ < 0) return false;
  const int32_t id = oldest_unused_;
  unlist_unused(id);
  free_pages(id);
  return true;
}

bool TreeCache::trim(int32_t id, int32_t num_tokens) {
  Entry& entry = at(id);
  TREEPO_CHECK(entry.users > 0, "entry {} without users is trimmed", id);
  const auto kept = static_cast<size_t>(pages_for(num_tokens));
  if (entry.pages.size() <= kept) return false;
  for (; entry.pages.size() > kept; entry.pages.pop_back()) pool_.give_back(entry.pages.back());
  entry.stored = static_cast<int32_t>(kept) * page_tokens_;
  return true;
}

void TreeCache::list_unused(int32_t id) {
  Entry& entry = at(id);
  entry.older = newest_unused_;
  entry.newer = -1;
  (newest_unused_ < 0 ? oldest_unused_ : at(newest_unused_).newer) = id;
  newest_unused_ = id;
  num_evictable_pages_ += static_cast<int32_t>(entry.pages.size());
}

void TreeCache::unlist_unused(int32_t id) {
  Entry& entry = at(id);
  (entry.older < 0 ? oldest_unused_ : at(entry.older).newer) = entry.newer;
  (entry.newer < 0 ? newest_unused_ : at(entry.newer).older) = entry.older;
  entry.older = entry.newer = -1;
  num_evictable_pages_ -= static_cast<int32_t>(entry.pages.size());
}

void TreeCache::free_pages(int32_t id) {
  Entry& entry = at(id);
  for (const int32_t page : entry.pages) pool_.give_back(page);
  entry.pages.clear();
  entry.stored = 0;
}

void TreeCache::check_invariants() const {
  pool_.check_invariants();
  std::vector<int32_t> child_users(entries_.size()), children(entries_.size());
  std::vector<uint8_t> owned(static_cast<size_t>(pool_.num_pages()));
  int32_t num_owned = 0, num_unused_with_pages = 0;
  for (int32_t id = 0; id < max_entries(); ++id) {
    const Entry& entry = at(id);
    if (!entry.live) {
      TREEPO_CHECK(entry.pages.empty() && entry.users == 0, "dead entry {} has pages", id);
      continue;
    }
    TREEPO_CHECK(static_cast<int32_t>(entry.pages.size()) == pages_for(entry.stored),
                 "entry {} has {} pages for {} tokens", id, entry.pages.size(), entry.stored);
    for (const int32_t page : entry.pages) {
      TREEPO_CHECK(pool_.is_taken(page) && owned[static_cast<size_t>(page)] == 0,
                   "page {} of entry {} is free or has two owners", page, id);
      owned[static_cast<size_t>(page)] = 1;
      ++num_owned;
    }
    if (entry.users == 0 && !entry.pages.empty()) ++num_unused_with_pages;
    if (entry.parent < 0) continue;
    TREEPO_CHECK(at(entry.parent).live, "entry {} has a dead parent", id);
    ++children[static_cast<size_t>(entry.parent)];
    if (entry.users > 0) ++child_users[static_cast<size_t>(entry.parent)];
    TREEPO_CHECK(entry.stored == 0 || at(entry.parent).stored >= entry.parent_used_tokens,
                 "entry {} is stored but its parent is not", id);
  }
  TREEPO_CHECK(num_owned == pool_.num_pages() - pool_.num_free(), "{} pages have no owner",
               pool_.num_pages() - pool_.num_free() - num_owned);
  for (int32_t id = 0; id < max_entries(); ++id) {
    const auto i = static_cast<size_t>(id);
    if (!at(id).live) continue;
    TREEPO_CHECK(at(id).children == children[i] && at(id).users >= child_users[i],
                 "entry {} counts {} children and {} users", id, at(id).children, at(id).users);
  }
  int32_t num_listed = 0, num_listed_pages = 0;
  for (int32_t id = oldest_unused_; id >= 0; id = at(id).newer) {
    TREEPO_CHECK(at(id).live && at(id).users == 0 && !at(id).pages.empty(),
                 "entry {} is listed as unused", id);
    ++num_listed;
    num_listed_pages += static_cast<int32_t>(at(id).pages.size());
  }
  TREEPO_CHECK(num_listed == num_unused_with_pages && num_listed_pages == num_evictable_pages_,
               "{} unused entries have {} pages, counted {}", num_listed, num_listed_pages,
               num_evictable_pages_);
}

}  // namespace treepo
