#include "train/warm_start.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "dense_forward.h"
#include "tiny_model.h"
#include "train/supervised_run.h"

namespace treepo {
namespace {

RunOptions warm_options(int64_t steps) {
  RunOptions options;
  options.warm_start = {.steps = steps, .batch = 4, .learning_rate = 1e-2, .warmup_steps = 5};
  options.data.kind = "carry";
  options.data.seed = 5;
  return options;
}

std::vector<WarmStartProgress> run_warm_start(TinyModel& model, const RunOptions& options) {
  std::vector<WarmStartProgress> reports;
  warm_start(model.decoder, model.tokenizer, options, kCarryEosId,
             [&](const WarmStartProgress& report) { reports.push_back(report); });
  return reports;
}

// Mean negative log-prob of the response tokens and EOS of demonstrations first … first + 3.
double direct_loss(const TinyModel& model, int64_t first, double bug, int64_t& tokens) {
  const CarryTask task(5);
  double sum = 0;
  for (int64_t i = first; i < first + 4; ++i) {
    const Problem problem = task.training_problem(i);
    std::vector<int32_t> path = model.encode(problem.prompt);
    const size_t prompt = path.size();
    for (const int32_t token : model.encode(task.demonstration(problem, i, bug)))
      path.push_back(token);
    path.push_back(kCarryEosId);
    const at::Tensor logprobs = dense_logits(model.decoder, path).log_softmax(-1);
    for (size_t t = prompt; t < path.size(); ++t)
      sum -= logprobs[static_cast<int64_t>(t) - 1][path[t]].item<double>();
    tokens += std::ssize(path) - static_cast<int64_t>(prompt);
  }
  return sum / static_cast<double>(tokens);
}

TEST(WarmStart, TheLossIsThatOfTheDemonstrations) {
  for (const double bug : {0.0, 0.6}) {
    TinyModel model;
    int64_t tokens = 0;
    const double expected = direct_loss(model, 0, bug, tokens);
    RunOptions options = warm_options(1);
    options.warm_start.carry_bug = bug;
    const std::vector<WarmStartProgress> reports = run_warm_start(model, options);
    ASSERT_EQ(reports.size(), 1u);
    EXPECT_NEAR(reports[0].loss, expected, 1e-9);
    EXPECT_EQ(reports[0].tokens, tokens);
    EXPECT_EQ(reports[0].step, 1);
  }
}

// A second batch holds the next demonstrations: with a rate of nearly 0 the weights stay.
TEST(WarmStart, BatchesGoOnThroughTheDemonstrations) {
  TinyModel model;
  int64_t first_tokens = 0, second_tokens = 0;
  direct_loss(model, 0, 0.6, first_tokens);
  const double second = direct_loss(model, 4, 0.6, second_tokens);
  RunOptions options = warm_options(2);
  options.warm_start.learning_rate = 1e-30;
  const std::vector<WarmStartProgress> reports = run_warm_start(model, options);
  EXPECT_NEAR(reports[1].loss, second, 1e-9);
  EXPECT_EQ(reports[1].tokens, first_tokens + second_tokens);
}

TEST(WarmStart, TheLossFalls) {
  TinyModel model;
  const std::vector<WarmStartProgress> reports = run_warm_start(model, warm_options(80));
  ASSERT_EQ(reports.size(), 80u);
  double before = 0, after = 0;
  for (size_t i = 0; i < 5; ++i) {
    before += reports[i].loss / 5;
    after += reports[79 - i].loss / 5;
  }
  EXPECT_GT(before, 3.0);
  EXPECT_LT(after, 0.7 * before);
  for (size_t i = 1; i < reports.size(); ++i) {
    EXPECT_EQ(reports[i].step, reports[i - 1].step + 1);
    EXPECT_GE(reports[i].seconds, reports[i - 1].seconds);
  }
}

TEST(WarmStart, TheSameSeedGivesTheSameWeights) {
  TinyModel first, second, other;
  const RunOptions options = warm_options(10);
  run_warm_start(first, options);
  run_warm_start(second, options);
  RunOptions other_options = options;
  other_options.data.seed = 6;
  run_warm_start(other, other_options);
  EXPECT_TRUE(at::equal(first.decoder.parameters().values(), second.decoder.parameters().values()));
  EXPECT_FALSE(at::equal(first.decoder.parameters().values(), other.decoder.parameters().values()));
}

// Nothing is learned of weights that are no numbers; the eleventh update is not tried.
TEST(WarmStart, GivesUpAfterSkippedUpdatesInARow) {
  TinyModel model;
  model.decoder.parameters().values().fill_(std::numeric_limits<double>::quiet_NaN());
  const std::vector<WarmStartProgress> reports = run_warm_start(model, warm_options(20));
  ASSERT_EQ(reports.size(), 10u);
  for (const WarmStartProgress& report : reports) {
    EXPECT_EQ(report.skipped.in_a_row, report.step);
    EXPECT_EQ(report.skipped.total, report.step);
    EXPECT_EQ(report.given_up, report.step == 10);
  }
}

TEST(WarmStart, ACheckedDeviceChecksSupervisedSteps) {
  RunOptions options;
  EXPECT_FALSE(supervised_pack_options(options).checked);
  options.model.device = "checked:cuda";
  EXPECT_TRUE(supervised_pack_options(options).checked);
}

}  // namespace
}  // namespace treepo
