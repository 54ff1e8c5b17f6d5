#include "train/threads.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <string>

#include "base/threads.h"
#include "support/expect_error.h"

namespace treepo {
namespace {

TEST(Threads, AreGivenToTorchAndToTheKernels) {
  EXPECT_EQ(use_threads(2), 2);
  EXPECT_EQ(at::get_num_threads(), 2);
  EXPECT_EQ(num_threads(), 2);
  EXPECT_EQ(use_threads(1), 1);
  EXPECT_EQ(at::get_num_threads(), 1);
}

TEST(Threads, AResumedRunKeepsItsNumber) {
  EXPECT_EQ(resumed_threads(0, 0), 0);
  EXPECT_EQ(resumed_threads(3, 0), 3);
  EXPECT_EQ(resumed_threads(0, 5), 5);
  EXPECT_EQ(resumed_threads(5, 5), 5);
  EXPECT_NE(error_of([] { resumed_threads(4, 5); }).find("train.threads = 4"), std::string::npos);
}

}  // namespace
}  // namespace treepo
