#include "train/step_metrics.h"

#include <gtest/gtest.h>

#include <optional>

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

Metrics metrics_of(const CollectedBatch& batch) {
  return step_metrics(batch, {}, {}, {}, 0, {}, 1);
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

}  // namespace
}  // namespace treepo
