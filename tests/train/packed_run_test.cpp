#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>
#include <memory>
#include <string>

#include "config/enum_names.h"
#include "model/decoder.h"
#include "tiny_run.h"

namespace treepo {
namespace {

constexpr int64_t kSteps = 20;

std::unique_ptr<TinyRun> run_of(bool packed, Objective kind) {
  auto run = std::make_unique<TinyRun>();
  run->options.update.packed = packed;
  run->options.update.max_tokens = packed ? 24 : 8192;  // cuts trees, too
  run->options.objective.kind = kind;
  run->options.objective.kl_beta = 0.01;
  run->options.objective.entropy_beta = 0.001;
  run->options.train.max_steps = kSteps;
  run->options.data.test.clear();
  run->train();
  return run;
}

// The same run with every shared token trained on once and with every trajectory trained on apart:
// each step's numbers and the last weights differ by rounding only. Were a gradient off, the
// weights would part, and with them what is sampled.
class PackedRun : public ::testing::TestWithParam<Objective> {};

TEST_P(PackedRun, EqualsTheRunOfTrajectoriesApart) {
  const auto packed = run_of(true, GetParam()), apart = run_of(false, GetParam());
  const std::vector<Json> found = packed->steps(), expected = apart->steps();
  ASSERT_EQ(found.size(), static_cast<size_t>(kSteps));
  ASSERT_EQ(expected.size(), found.size());
  double largest = 0;
  for (size_t step = 0; step < found.size(); ++step) {
    for (const std::string key : {"loss", "grad_norm", "entropy", "kl", "ratio/mean", "ratio/max",
                                  "clip_ratio/low_mean", "clip_ratio/high_mean", "reward/mean"}) {
      const double difference =
          std::abs(found[step][key].get<double>() - expected[step][key].get<double>());
      EXPECT_LE(difference, 1e-6) << key << " of step " << step + 1;
      largest = std::max(largest, difference);
    }
    EXPECT_EQ(found[step]["update/trajectory_tokens"], expected[step]["update/trajectory_tokens"]);
    EXPECT_EQ(found[step]["update/unique_tokens"], expected[step]["update/unique_tokens"]);
    EXPECT_LT(found[step]["update/unique_tokens"], found[step]["update/trajectory_tokens"]);
  }
  const auto weights = [](const TinyRun& run) {
    return Decoder::load(run.path(fmt::format("checkpoints/step-{:06}", kSteps)), at::kCPU,
                         at::kDouble)
        .parameters()
        .values()
        .clone();
  };
  const at::Tensor last = weights(*packed);
  const double apart_by = (last - weights(*apart)).abs().max().item<double>();
  EXPECT_LE(apart_by, 1e-6);
  const double moved =
      (last - packed->model.decoder.parameters().values()).abs().max().item<double>();
  EXPECT_GT(moved, 0.05) << "nothing was learnt that could differ";
  std::cout << "  " << kSteps << " steps: metrics differ by at most " << largest << ", weights by "
            << apart_by << " after moving by " << moved << "\n";
}

INSTANTIATE_TEST_SUITE_P(Objectives, PackedRun,
                         ::testing::Values(Objective::dapo, Objective::grpo, Objective::gspo),
                         [](const auto& kind) {
                           return std::string(
                               kEnumNames<Objective>[static_cast<size_t>(kind.param)]);
                         });

}  // namespace
}  // namespace treepo
