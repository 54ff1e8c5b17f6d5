#include "learn/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

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

// As over a training of that many steps, then as at its end.
TEST(Schedule, MayEndBeforeTrainingDoes) {
  OptimizerOptions rates{
      .learning_rate = 2.0, .warmup_steps = 4, .schedule = "cosine", .min_lr_ratio = 0.1};
  ObjectiveOptions betas{.kl_beta = 2.0, .beta_schedule = "exponential", .beta_end = 0.0625};
  OptimizerOptions early_rates = rates;
  ObjectiveOptions early_betas = betas;
  early_rates.decay_steps = early_betas.beta_steps = 14;
  for (const int64_t step : {0, 4, 9, 13, 14, 40}) {
    EXPECT_DOUBLE_EQ(scheduled_learning_rate(early_rates, step, 50),
                     scheduled_learning_rate(rates, step, 14));
    EXPECT_DOUBLE_EQ(scheduled_objective(early_betas, step, 50).kl_beta,
                     scheduled_objective(betas, step, 14).kl_beta);
  }
  EXPECT_DOUBLE_EQ(scheduled_learning_rate(early_rates, 40, 50), 0.2);
}

TEST(Schedule, UnknownNameIsAnError) {
  EXPECT_THROW(rate("square", 4, 0), Error);
}

ObjectiveOptions objective(const std::string& schedule, int64_t step) {
  const ObjectiveOptions options{
      .kl_beta = 2.0, .entropy_beta = 1.0, .beta_schedule = schedule, .beta_end = 0.0625};
  return scheduled_objective(options, step, 9);
}

TEST(Schedule, BetasFallToTheirEnd) {
  for (const char* schedule : {"linear", "cosine", "exponential"}) {
    EXPECT_DOUBLE_EQ(objective(schedule, 0).kl_beta, 2.0);
    EXPECT_DOUBLE_EQ(objective(schedule, 8).kl_beta, 0.125);
    EXPECT_DOUBLE_EQ(objective(schedule, 8).entropy_beta, 0.0625);
    EXPECT_DOUBLE_EQ(objective(schedule, 20).kl_beta, 0.125) << "past the last step";
  }
  EXPECT_DOUBLE_EQ(objective("exponential", 4).kl_beta, 0.5);  // sqrt(1/16) of it
  EXPECT_DOUBLE_EQ(objective("linear", 4).kl_beta, 2.0 * (1 + 0.0625) / 2);
  EXPECT_DOUBLE_EQ(objective("cosine", 2).entropy_beta, 0.0625 + 0.9375 * (1 + std::sqrt(0.5)) / 2);
  EXPECT_DOUBLE_EQ(objective("constant", 8).kl_beta, 2.0);
  EXPECT_THROW(objective("square", 1), Error);
}

}  // namespace
}  // namespace treepo
