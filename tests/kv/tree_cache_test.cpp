#include "kv/tree_cache.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/error.h"

namespace treepo {
namespace {

using Slots = std::vector<int32_t>;

TEST(TreeCache, AppendsToPagesOfItsOwn) {
  TreeCache cache(4, 4);
  const int32_t root = cache.add(-1, 0);
  cache.use(root);
  Slots slots;
  EXPECT_EQ(cache.append(root, 3, slots), 3);
  EXPECT_EQ(cache.append(root, 2, slots), 2);
  EXPECT_EQ(slots, (Slots{0, 1, 2, 3, 4}));
  // A child starts on a page of its own; its parent's are not touched.
  const int32_t child = cache.add(root, 5);
  cache.use(child);
  slots.clear();
  EXPECT_EQ(cache.append(child, 2, slots), 2);
  EXPECT_EQ(slots, (Slots{8, 9}));
  EXPECT_EQ(cache.stored(root), 5);
  EXPECT_EQ(cache.pool().num_free(), 1);
  // Out of pages is a return value: what fits is placed.
  slots.clear();
  EXPECT_EQ(cache.append(child, 9, slots), 6);
  EXPECT_EQ(slots, (Slots{10, 11, 12, 13, 14, 15}));
  EXPECT_EQ(cache.append(child, 1, slots), 0);
  cache.check_invariants();
}

TEST(TreeCache, KeepsUnusedPagesUntilRoomIsNeeded) {
  TreeCache cache(4, 2);
  const int32_t root = cache.add(-1, 0), left = cache.add(root, 2), right = cache.add(root, 2);
  Slots slots;
  cache.use(left);
  cache.append(root, 2, slots);
  cache.append(left, 4, slots);
  cache.use(right);
  EXPECT_FALSE(cache.evict_one());  // everything is in use
  cache.unuse(left);
  EXPECT_EQ(cache.num_evictable_pages(), 2);
  EXPECT_EQ(cache.stored(left), 4);
  EXPECT_TRUE(cache.in_use(root));  // by way of `right`
  cache.unuse(right);
  EXPECT_EQ(cache.num_evictable_pages(), 3);
  cache.check_invariants();
  // Used again in time: nothing is lost.
  cache.use(left);
  EXPECT_EQ(cache.num_evictable_pages(), 0);
  EXPECT_EQ(cache.stored(left), 4);
  cache.unuse(left);
  // Children go before their parents, whole.
  EXPECT_TRUE(cache.evict_one());
  EXPECT_EQ(cache.stored(left), 0);
  EXPECT_EQ(cache.stored(root), 2);
  EXPECT_TRUE(cache.evict_one());
  EXPECT_FALSE(cache.evict_one());
  EXPECT_EQ(cache.pool().num_free(), 4);
  cache.check_invariants();
}

TEST(TreeCache, TrimsWhatAPathLeavesOfASegment) {
  TreeCache cache(6, 4);
  const int32_t root = cache.add(-1, 0);
  cache.use(root);
  Slots slots;
  cache.append(root, 14, slots);
  EXPECT_FALSE(cache.trim(root, 13));  // its last page is used
  EXPECT_EQ(cache.stored(root), 14);
  EXPECT_TRUE(cache.trim(root, 5));
  EXPECT_EQ(cache.stored(root), 8);  // what stays of the second page is still known
  EXPECT_EQ(cache.pool().num_free(), 4);
  EXPECT_FALSE(cache.trim(root, 5));
  cache.check_invariants();
  slots.clear();
  cache.append(root, 1, slots);  // goes on where it was cut
  EXPECT_EQ(slots.front() % 4, 0);
  EXPECT_EQ(cache.stored(root), 9);
  cache.unuse(root);
  EXPECT_THROW(cache.trim(root, 0), CheckFailure);  // evict_one() is for those
  cache.check_invariants();
}

TEST(TreeCache, RefusesMisuse) {
  TreeCache cache(2, 2);
  const int32_t root = cache.add(-1, 0);
  const int32_t child = cache.add(root, 0);
  Slots slots;
  EXPECT_THROW(cache.append(root, 1, slots), CheckFailure);  // nobody uses it
  EXPECT_THROW(cache.unuse(root), CheckFailure);
  EXPECT_THROW(cache.remove(root), CheckFailure);  // it has a child
  cache.use(child);
  EXPECT_THROW(cache.remove(child), CheckFailure);
  cache.unuse(child);
  cache.remove(child);
  cache.remove(root);
  EXPECT_EQ(cache.num_entries(), 0);
  cache.check_invariants();
}

// Random trees of entries, used and given up at random: invariants after each operation, and at the
// end no page is left.
TEST(TreeCache, RandomOperations) {
  std::mt19937 random(3);
  struct Twin {
    int32_t parent, used_tokens, users = 0, children = 0;
    bool live = true;
  };
  for (int round = 0; round < 60; ++round) {
    TreeCache cache(1 + static_cast<int32_t>(random() % 30),
                    1 + static_cast<int32_t>(random() % 5));
    std::vector<Twin> entries;
    std::vector<int32_t> live;
    Slots slots;
    const auto at = [&entries](int32_t id) -> Twin& { return entries[static_cast<size_t>(id)]; };
    const auto any = [&] { return live[random() % live.size()]; };
    // Stores the path above an entry, then a few tokens in it, as the scheduler does.
    const auto append = [&](int32_t id) {
      std::vector<int32_t> path = {id};
      while (at(path.back()).parent >= 0) path.push_back(at(path.back()).parent);
      for (size_t i = path.size() - 1; i > 0; --i) {
        const int32_t missing = at(path[i - 1]).used_tokens - cache.stored(path[i]);
        if (missing > 0 && cache.append(path[i], missing, slots) < missing) return;
      }
      cache.append(id, static_cast<int32_t>(random() % 7), slots);
    };
    for (int step = 0; step < 400; ++step) {
      const auto kind = random() % 10;
      if (live.empty() || kind == 0) {
        const int32_t parent = live.empty() || random() % 4 == 0 ? -1 : any();
        const int32_t used = parent < 0 ? 0 : static_cast<int32_t>(random() % 9);
        const int32_t id = cache.add(parent, used);
        if (id >= static_cast<int32_t>(entries.size())) entries.resize(static_cast<size_t>(id) + 1);
        at(id) = {.parent = parent, .used_tokens = used};
        if (parent >= 0) ++at(parent).children;
        live.push_back(id);
      } else if (kind <= 3) {
        const int32_t id = any();
        cache.use(id);
        ++at(id).users;
      } else if (kind <= 5) {
        const int32_t id = any();
        if (at(id).users > 0) {
          cache.unuse(id);
          --at(id).users;
        }
      } else if (kind <= 7) {
        const int32_t id = any();
        if (at(id).users > 0) append(id);
      } else if (kind == 8) {
        cache.evict_one();
      } else {
        const int32_t id = any();
        if (!cache.in_use(id) && at(id).children == 0) {
          cache.remove(id);
          if (at(id).parent >= 0) --at(at(id).parent).children;
          std::erase(live, id);
        }
      }
      cache.check_invariants();
      for (const int32_t slot : slots) {
        EXPECT_TRUE(slot >= 0 && slot < cache.pool().num_pages() * cache.page_tokens());
      }
      slots.clear();
    }
    for (const int32_t id : live) {
      for (; at(id).users > 0; --at(id).users) cache.unuse(id);
    }
    while (!live.empty()) {
      const int32_t id = any();
      if (at(id).children > 0) continue;
      cache.remove(id);
      if (at(id).parent >= 0) --at(at(id).parent).children;
      std::erase(live, id);
      cache.check_invariants();
    }
    EXPECT_EQ(cache.pool().num_free(), cache.pool().num_pages());
  }
}

}  // namespace
}  // namespace treepo
