#include "kv/page_pool.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "base/error.h"

namespace treepo {
namespace {

TEST(PagePool, HandsOutEveryPageOnce) {
  PagePool pool(3);
  EXPECT_EQ(pool.take(), 0);
  EXPECT_EQ(pool.take(), 1);
  EXPECT_EQ(pool.take(), 2);
  EXPECT_EQ(pool.take(), -1);
  pool.give_back(1);
  EXPECT_EQ(pool.num_free(), 1);
  EXPECT_EQ(pool.take(), 1);
  pool.check_invariants();
}

TEST(PagePool, RefusesPagesThatAreNotTaken) {
  PagePool pool(2);
  pool.take();
  EXPECT_THROW(pool.give_back(1), CheckFailure);
  EXPECT_THROW(pool.give_back(2), CheckFailure);
  EXPECT_THROW(pool.give_back(-1), CheckFailure);
  pool.give_back(0);
  EXPECT_THROW(pool.give_back(0), CheckFailure);
}

TEST(PagePool, RandomOperations) {
  std::mt19937 random(1);
  PagePool pool(20);
  std::set<int32_t> taken;
  for (int i = 0; i < 5000; ++i) {
    if (random() % 2 == 0) {
      const int32_t page = pool.take();
      EXPECT_EQ(page < 0, taken.size() == 20u);
      if (page >= 0) {
        EXPECT_TRUE(taken.insert(page).second);
      }
    } else if (!taken.empty()) {
      const auto page = std::next(taken.begin(), static_cast<int>(random() % taken.size()));
      pool.give_back(*page);
      taken.erase(page);
    }
    pool.check_invariants();
    EXPECT_EQ(pool.num_free(), 20 - static_cast<int32_t>(taken.size()));
  }
}

}  // namespace
}  // namespace treepo
