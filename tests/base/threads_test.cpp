#include "base/threads.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "base/error.h"

namespace treepo {
namespace {

TEST(Threads, WorkDecidesHowManyItGets) {
  set_num_threads(4);
  EXPECT_EQ(threads_for_work(0), 1);
  EXPECT_EQ(threads_for_work(kOperationsPerThread), 1);
  EXPECT_EQ(threads_for_work(2 * kOperationsPerThread - 1), 1);
  EXPECT_EQ(threads_for_work(2 * kOperationsPerThread), 2);
  EXPECT_EQ(threads_for_work(3 * kOperationsPerThread), 3);
  EXPECT_EQ(threads_for_work(INT64_MAX), 4);
  EXPECT_EQ(threads_for_work(30, 10), 3);
  set_num_threads(1);
  EXPECT_EQ(threads_for_work(INT64_MAX), 1);
  set_num_threads(0);
  EXPECT_GE(num_threads(), 1);
  EXPECT_GE(available_cores(), 1);
  EXPECT_THROW(set_num_threads(-1), CheckFailure);
}

}  // namespace
}  // namespace treepo
