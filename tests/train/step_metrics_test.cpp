#include "train/step_metrics.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <optional>
#include <string>

#include "hand_made_verifier.h"
#include "train/batch_collector.h"

namespace treepo {
namespace {

std::optional<double> value_of(const Metrics& metrics, const std::string& name) {
  for (const auto& [key, value] : metrics.values())
    if (key == name) return std::visit([](auto v) { return static_cast<double>(v); }, value);
  return std::nullopt;
}

// A tree of one token for each verdict.
ScoredTree scored(std::vector<Verdict> verdicts) {
  SearchTree tree({1}, 4);
  for (size_t i = 0; i < verdicts.size(); ++i) {
    const int32_t node = tree.add_child(0);
    tree.append(node, 2, -1, 1);
    tree.stop(node, StopReason::eos);
  }
  ScoredTree result({}, std::move(tree));
  result.rewards.assign(verdicts.size(), 0);
  result.verdicts = std::move(verdicts);
  return result;
}

Verdict with_parts(std::vector<double> parts, VerifierFailure failure = VerifierFailure::none) {
  Verdict verdict;
  verdict.parts = std::move(parts);
  verdict.failure = failure;
  return verdict;
}

Metrics metrics_of(const CollectedBatch& batch, const BatchUpdate& update = {}) {
  return step_metrics(batch, update, {}, {}, 0, {}, 1);
}

TEST(StepMetrics, PartsOfARewardAreLoggedApart) {
  CollectedBatch batch;
  batch.part_names = {"math", "tags"};
  batch.kept.push_back(scored({with_parts({1, 0}), with_parts({0, 1})}));
  batch.dropped.push_back(scored({with_parts({0, 1}), with_parts({0, 1})}));
  const Metrics metrics = metrics_of(batch);
  EXPECT_EQ(value_of(metrics, "reward/math"), 0.25);
  EXPECT_EQ(value_of(metrics, "reward/tags"), 0.75);
}

// Trees that were dropped have none.
TEST(StepMetrics, TheKlPenaltyIsAMeanOverTrajectoriesThatPayIt) {
  CollectedBatch batch;
  batch.dropped.push_back(scored({verdict(0), verdict(0)}));
  EXPECT_EQ(value_of(metrics_of(batch), "reward/kl_penalty"), std::nullopt);
  batch.kept.push_back(scored({verdict(0), verdict(1)}));
  batch.kept.push_back(scored({verdict(1)}));
  batch.kept[0].kl_penalties = {0.5, -0.25};
  batch.kept[1].kl_penalties = {2};
  EXPECT_EQ(value_of(metrics_of(batch), "reward/kl_penalty"), 0.75);
}

TEST(StepMetrics, ASinglePartIsTheScore) {
  CollectedBatch batch;
  batch.part_names = {"math"};
  batch.kept.push_back(scored({with_parts({1})}));
  EXPECT_EQ(value_of(metrics_of(batch), "reward/math"), std::nullopt);
}

// Tokens of trajectories, decoded ones, and decoded and prefilled ones: three numbers, three names.
TEST(StepMetrics, SpeedsAreNamed) {
  // 4 tokens, shared by two trajectories, then 1 of each.
  SearchTree tree({1}, 4);
  const int32_t shared = tree.add_child(0);
  for (int i = 0; i < 4; ++i) tree.append(shared, 2, -1, 1);
  for (int i = 0; i < 2; ++i) {
    const int32_t leaf = tree.add_child(shared);
    tree.append(leaf, 2, -1, 1);
    tree.stop(leaf, StopReason::eos);
  }
  CollectedBatch batch;
  batch.kept.emplace_back(TrainingQuery{}, std::move(tree));
  batch.kept[0].verdicts.resize(2);
  batch.kept[0].rewards.resize(2);
  RolloutStats before, after;
  before.prefilled_tokens = 100;
  after.prefilled_tokens = 103;
  PhaseTimes times;
  {
    const PhaseTimes::Scope sampling = times.measure("sample");
    const Timer timer;
    while (timer.seconds() < 1e-4) {
    }
  }
  const Metrics metrics = step_metrics(batch, {}, before, after, 0, times, 1);
  const double seconds = times.seconds("sample");
  EXPECT_DOUBLE_EQ(metrics.number("speed/unique_tokens_per_s"), 6 / seconds);
  EXPECT_DOUBLE_EQ(metrics.number("speed/trajectory_tokens_per_s"), 10 / seconds);
  EXPECT_DOUBLE_EQ(metrics.number("speed/processed_tokens_per_s"), (6 + 3) / seconds);
}

TEST(StepMetrics, CountsResponsesThatCouldNotBeJudged) {
  using enum VerifierFailure;
  CollectedBatch batch;
  batch.kept.push_back(
      scored({with_parts({}), with_parts({}, timed_out), with_parts({}, timed_out)}));
  batch.dropped.push_back(
      scored({with_parts({}, error), with_parts({}, died), with_parts({}, timed_out)}));
  const Metrics metrics = metrics_of(batch);
  EXPECT_EQ(value_of(metrics, "verify/timeouts"), 3);
  EXPECT_EQ(value_of(metrics, "verify/errors"), 1);
  EXPECT_EQ(value_of(metrics, "verify/deaths"), 1);
}

// 100 tokens, of which each statistic counts another number.
UpdateReport report_of_100_tokens() {
  return {.objective = {.loss = 0.5,
                        .tokens = 100,
                        .clipped_low = 1,
                        .clipped_high = 2,
                        .dual_clipped = 3,
                        .ratio_sum = 105,
                        .ratio_max = 1.5,
                        .policy_kl_sum = 2,
                        .entropy_sum = 60,
                        .kl_sum = 7,
                        .kl_tokens = 100,
                        .compared = 100,
                        .masked = 4,
                        .importance_sum = 98,
                        .mismatch_sum = 9,
                        .mismatch_max = 0.25,
                        .mismatch_k1_sum = -5,
                        .mismatch_k3_sum = 3,
                        .mismatch_outside = 10},
          .step = {.gradient_norm = 2},
          .trajectory_tokens = 100,
          .unique_tokens = 50,
          .packed_tokens = 70};
}

void expect_values(const Metrics& metrics, const std::map<std::string, double>& expected) {
  for (const auto& [name, value] : expected) {
    const std::optional<double> found = value_of(metrics, name);
    ASSERT_TRUE(found) << name;
    EXPECT_DOUBLE_EQ(*found, value) << name;
  }
}

TEST(StepMetrics, TrustMetricsAreMeansOverTheTokensOfTheUpdates) {
  BatchUpdate update;
  update.add(report_of_100_tokens(), /*weights_as_sampled=*/true);
  UpdateReport second = report_of_100_tokens();
  second.objective = {.loss = 1.5,
                      .tokens = 300,
                      .clipped_low = 7,
                      .clipped_high = 18,
                      .ratio_sum = 335,
                      .ratio_max = 1.25,
                      .policy_kl_sum = 14,
                      .entropy_sum = 20,
                      .kl_sum = 9,
                      .kl_tokens = 300,
                      .compared = 500,  // 200 that were masked and not run
                      .masked = 8,
                      .mismatch_sum = 1000,
                      .mismatch_max = 3,
                      .mismatch_k1_sum = 70,
                      .mismatch_k3_sum = 80,
                      .mismatch_outside = 300};
  second.step.gradient_norm = 6;
  update.add(second, /*weights_as_sampled=*/false);
  expect_values(metrics_of({}, update), {{"loss", 1},
                                         {"grad_norm", 4},
                                         {"grad_norm_max", 6},
                                         {"clip_ratio/low_mean", 0.02},
                                         {"clip_ratio/high_mean", 0.05},
                                         {"clip_ratio/dual_mean", 0.0075},
                                         {"ratio/mean", 1.1},
                                         {"ratio/max", 1.5},
                                         {"entropy", 0.2},
                                         {"kl", 0.04},
                                         {"mismatch/mean", 0.09},
                                         {"update/approx_kl", 0.04},
                                         {"mismatch/max", 0.25},
                                         {"mismatch/kl", -0.05},
                                         {"mismatch/k3_kl", 0.03},
                                         {"mismatch/outside", 0.1},
                                         {"mismatch/importance_mean", 0.98},
                                         {"mismatch/masked", 0.02},
                                         {"update/steps", 2},
                                         {"update/skipped", 0},
                                         {"update/trajectory_tokens", 200},
                                         {"update/unique_tokens", 100},
                                         {"update/packed_tokens", 140}});
}

// Its statistics are those of what went wrong.
TEST(StepMetrics, ASkippedUpdateCountsAsWorkOnly) {
  BatchUpdate update;
  UpdateReport skipped = report_of_100_tokens();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  skipped.step = {.gradient_norm = nan, .skipped = true};
  skipped.objective = {.loss = nan, .tokens = 100, .ratio_sum = nan, .entropy_sum = nan};
  update.add(skipped, true);
  const Metrics none = metrics_of({}, update);
  for (const auto& [name, value] : none.values()) {
    EXPECT_FALSE(name == "loss" || name.starts_with("grad_norm") || name == "entropy" ||
                 name.starts_with("ratio/") || name.starts_with("clip_ratio/") ||
                 name.starts_with("mismatch/"))
        << name;
  }
  update.add(report_of_100_tokens(), true);
  expect_values(metrics_of({}, update), {{"loss", 0.5},
                                         {"grad_norm", 2},
                                         {"ratio/mean", 1.05},
                                         {"entropy", 0.6},
                                         {"mismatch/mean", 0.09},
                                         {"update/steps", 2},
                                         {"update/skipped", 1},
                                         {"update/packed_tokens", 140}});
}

TEST(StepMetrics, TheStepsLineShowsWhatWasMeasured) {
  BatchUpdate update;
  EXPECT_NE(step_line(2, 9, metrics_of({}, update)).find("entropy –  grad norm –"),
            std::string::npos);
  update.add(report_of_100_tokens(), true);
  EXPECT_NE(step_line(2, 9, metrics_of({}, update)).find("entropy 0.600  grad norm 2.000"),
            std::string::npos);
}

TEST(StepMetrics, WithoutAReferenceThereIsNoKl) {
  BatchUpdate update;
  UpdateReport report = report_of_100_tokens();
  report.objective.kl_tokens = 0;
  update.add(report, true);
  EXPECT_EQ(value_of(metrics_of({}, update), "kl"), std::nullopt);
}

}  // namespace
}  // namespace treepo
