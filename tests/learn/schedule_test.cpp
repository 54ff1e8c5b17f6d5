#include "learn/schedule.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace treepo {
namespace {

double rate(const std::string& schedule, int64_t warmup, int64_t step) {
  return scheduled_learning_rate(
      {.learning_rate = 2.0, .warmup_steps = warmup, .schedule = schedule}, step, 14);
}

TEST(Schedule, WarmUpRisesToTheFullRate) {
  for (const char* schedule : {"constant", "cosine", "linear"}) {
    EXPECT_DOUBLE_EQ(rate(schedule, 4, 0), 0.5);
    EXPECT_DOUBLE_EQ(rate(schedule, 4, 3), 2.0);
    EXPECT_DOUBLE_EQ(rate(schedule, 4, 4), 2.0);
    EXPECT_DOUBLE_EQ(rate(schedule, 0, 0), 2.0);
  }
}

TEST(Schedule, FallsAsNamed) {
  EXPECT_DOUBLE_EQ(rate("constant", 4, 13), 2.0);
  EXPECT_DOUBLE_EQ(rate("linear", 4, 9), 1.0);
  EXPECT_DOUBLE_EQ(rate("cosine", 4, 9), 1.0);
  EXPECT_NEAR(rate("cosine", 4, 5), 1.0 + 0.9510565162951535, 1e-15);  // 1 + cos(pi / 10)
  EXPECT_DOUBLE_EQ(rate("linear", 4, 13), 0.2);
  EXPECT_DOUBLE_EQ(rate("linear", 4, 20), 0.0) << "past the last step";
}

TEST(Schedule, FallsToTheShareThatIsAskedFor) {
  for (const char* schedule : {"cosine", "linear", "constant"}) {
    const OptimizerOptions options{
        .learning_rate = 2.0, .warmup_steps = 4, .schedule = schedule, .min_lr_ratio = 0.1};
    const bool constant = options.schedule == "constant";
    EXPECT_DOUBLE_EQ(scheduled_learning_rate(options, 4, 14), 2.0);
    EXPECT_DOUBLE_EQ(scheduled_learning_rate(options, 9, 14), constant ? 2.0 : 1.1);
    EXPECT_DOUBLE_EQ(scheduled_learning_rate(options, 14, 14), constant ? 2.0 : 0.2);
    EXPECT_DOUBLE_EQ(scheduled_learning_rate(options, 0, 14), 0.5) << "warm-up knows no least";
  }
}

TEST(Schedule, UnknownNameIsAnError) {
  EXPECT_THROW(rate("square", 4, 0), Error);
}

}  // namespace
}  // namespace treepo
