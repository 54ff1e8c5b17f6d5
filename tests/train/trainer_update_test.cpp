#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "hand_made_verifier.h"
#include "support/recording_terminal.h"
#include "tiny_run.h"

namespace treepo {
namespace {

double number(const Json& line, const std::string& key) {
  return line.at(key).get<double>();
}

// A run whose responses `judge` scores.
void train_judged(const TinyRun& run, HandMadeVerifier::Judge judge) {
  validate_for_training(run.options);
  Trainer(run.options, Trainer::Start::fresh,
          {.verifier = std::make_unique<HandMadeVerifier>(std::move(judge))})
      .run({});
}

// One problem in seven teaches nothing.
Verdict all_but_one_teach(const Response& response, size_t index) {
  return verdict(response.problem->id == "c" ? 0 : static_cast<double>(index % 2));
}

// Before the weights change, sampler and trainer say the same; afterwards the ratio shows that they
// did, and the mismatch still tells of the same weights only.
TEST(TrainerUpdate, SamplerAndTrainerAgreeInTheFirstUpdate) {
  for (const bool recompute : {false, true}) {
    TinyRun run;
    run.options.update.recompute_old_logprobs = recompute;
    run.options.sampling = {.temperature = 0.7, .top_p = 0.95};
    run.train();
    for (const Json& line : run.steps()) {
      ASSERT_EQ(line["update/steps"], 2);
      EXPECT_GT(number(line, "mismatch/max"), 0.0);
      EXPECT_LT(number(line, "mismatch/max"), 1e-9);
      EXPECT_LE(number(line, "mismatch/mean"), number(line, "mismatch/max"));
      EXPECT_LE(std::abs(number(line, "mismatch/kl")), number(line, "mismatch/mean"));
      EXPECT_LT(std::abs(number(line, "mismatch/k3_kl")), 1e-15);
      EXPECT_GT(number(line, "update/approx_kl"), 1e-7);  // of the second update
      EXPECT_EQ(line["mismatch/outside"], 0);
      EXPECT_GT(number(line, "ratio/max"), 1.001);  // of the second update
    }
  }
}

// With three trees for four updates the first of the four has none.
TEST(TrainerUpdate, TheFirstUpdateThatIsMadeTellsOfTheMismatch) {
  TinyRun run;
  run.options.update.updates_per_batch = 4;
  run.options.train.max_sampling_rounds = 1;
  run.options.train.max_steps = 2;
  train_judged(run, all_but_one_teach);
  bool fewer = false;
  for (const Json& line : run.steps()) {
    EXPECT_EQ(line["update/steps"], line["sampling/queries_kept"]);
    fewer |= line["update/steps"] == 3;
    EXPECT_GT(number(line, "mismatch/max"), 0.0);
    EXPECT_LT(number(line, "mismatch/max"), 1e-9);
    EXPECT_NEAR(number(line, "mismatch/importance_mean"), 1, 1e-12);
  }
  EXPECT_TRUE(fewer) << "every batch was full";
}

TEST(TrainerUpdate, RecomputedOldLogProbsGiveTheSameUpdate) {
  TinyRun sampled, recomputed;
  recomputed.options.update.recompute_old_logprobs = true;
  sampled.train();
  recomputed.train();
  const Json a = sampled.steps()[0], b = recomputed.steps()[0];
  for (const std::string key : {"loss", "grad_norm", "ratio/mean", "ratio/max", "entropy"})
    EXPECT_NEAR(number(a, key), number(b, key), 1e-9) << key;
}

// The first step of a run in half width, whose sampler and trainer differ by rounding.
Json first_step_in(const std::string& dtype, const ObjectiveOptions& objective) {
  TinyRun run;
  run.options.model.dtype = dtype;
  run.options.update.recompute_old_logprobs = true;
  run.options.objective = objective;
  run.options.train.max_steps = 1;
  run.options.data.test.clear();
  run.train();
  return run.steps()[0];
}

TEST(TrainerUpdate, WhatSamplerAndTrainerDisagreeOnIsMasked) {
  const Json all = first_step_in("bfloat16", {});
  EXPECT_EQ(all["mismatch/masked"], 0);
  const double mean = number(all, "mismatch/mean");
  for (const auto& [mask, band] :
       {std::pair(ImportanceMask::token, mean), std::pair(ImportanceMask::sequence, 2 * mean),
        std::pair(ImportanceMask::geometric, mean / 3)}) {
    SCOPED_TRACE(static_cast<int>(mask));
    ObjectiveOptions objective{.importance_mask = mask};
    const Json wide = first_step_in("bfloat16", objective);
    EXPECT_EQ(wide["mismatch/masked"], 0);
    EXPECT_EQ(wide["grad_norm"], all["grad_norm"]);
    objective.importance_mask_low = 1 - band;
    objective.importance_mask_high = 1 + band;
    const Json narrow = first_step_in("bfloat16", objective);
    EXPECT_GT(number(narrow, "mismatch/masked"), 0.05);
    EXPECT_LT(number(narrow, "mismatch/masked"), 0.95);
    EXPECT_GT(std::abs(number(narrow, "grad_norm") - number(all, "grad_norm")),
              1e-3 * number(all, "grad_norm"));
  }
}

// In float16, whose gradients are products of float32: bfloat16 may round the weights off, which
// are as near to 1 as sampler and trainer agree.
TEST(TrainerUpdate, ImportanceWeightsEndAtTheirCap) {
  const Json all = first_step_in("float16", {});
  EXPECT_EQ(all["mismatch/importance_mean"], 1);
  const Json two = first_step_in("float16", {.importance_cap = 2});
  const Json one = first_step_in("float16", {.importance_cap = 1});
  EXPECT_NE(two["grad_norm"], all["grad_norm"]);
  EXPECT_NE(one["grad_norm"], two["grad_norm"]);
  EXPECT_LT(number(one, "mismatch/importance_mean"), 1);
  EXPECT_LT(number(one, "mismatch/importance_mean"), number(two, "mismatch/importance_mean"));
  EXPECT_NEAR(number(one, "mismatch/importance_mean"), 1, number(all, "mismatch/max"));
}

// The first update of a run, and the trees that it was sampled with.
struct FirstStep {
  Json metrics;
  std::vector<Json> trees;
};

FirstStep first_step(bool mask_truncated) {
  TinyRun run;
  run.options.rollout.width = 16;
  run.options.rollout.fallback_window = 1;  // paths with fewer tokens than their segments hold
  run.options.objective.mask_truncated = mask_truncated;
  run.options.update.updates_per_batch = 1;
  run.options.train.max_steps = 1;
  run.options.train.sample_queries = 100;
  run.options.data.test.clear();
  run.train();
  return {.metrics = run.steps()[0], .trees = run.lines("samples.jsonl")};
}

// They are not trained on, but rewards and advantages are the same. A path ends at the number of
// its tokens or at that of its segments.
TEST(TrainerUpdate, TrajectoriesThatWereCutOffCanBeLeftOut) {
  const FirstStep all = first_step(false), found = first_step(true);
  EXPECT_EQ(found.trees, all.trees);
  std::map<std::string, double> tokens;  // by what ended the trajectory
  for (const Json& tree : all.trees)
    for (const Json& leaf : tree["leaves"])
      if (leaf.contains("advantage"))  // else of a tree that was dropped
        tokens[leaf["end"].get<std::string>()] += number(leaf, "num_tokens");
  EXPECT_GT(tokens["length"], 0);
  EXPECT_GT(tokens["depth"], 0);
  double all_tokens = 0;
  for (const auto& [end, number_of] : tokens) all_tokens += number_of;
  const double finished = all_tokens - tokens["length"] - tokens["depth"];
  EXPECT_GT(finished, 0);
  EXPECT_EQ(number(all.metrics, "update/trajectory_tokens"), all_tokens);
  EXPECT_EQ(number(found.metrics, "update/trajectory_tokens"), finished);
  EXPECT_LT(number(found.metrics, "update/packed_tokens"),
            number(all.metrics, "update/packed_tokens"));
  EXPECT_NE(found.metrics["grad_norm"], all.metrics["grad_norm"]);
}

// A model that knows no end: everything is cut off.
TEST(TrainerUpdate, WhereAllWasCutOffThereIsNoUpdate) {
  TinyRun run;
  run.forget_end_of_sequence();
  run.options.objective.mask_truncated = true;
  run.options.objective.kl_beta = 0.1;
  run.options.update.recompute_old_logprobs = true;
  run.options.optimizer.weight_decay = 0.5;  // an update would change the weights even so
  run.options.train.max_steps = 2;
  run.options.train.max_skipped_updates = 1;
  run.options.data.test.clear();
  RecordingTerminal screen(false);
  {
    const ScopedTerminal scope(screen.terminal());
    run.train();
  }
  EXPECT_THAT(screen.written(),
              testing::HasSubstr("warning: step 2: no update: objective.mask_truncated leaves"));
  for (const Json& line : run.steps()) {
    EXPECT_EQ(line["update/steps"], 0);
    EXPECT_EQ(line["update/skipped"], 0);
    EXPECT_FALSE(line.contains("loss"));
  }
  EXPECT_EQ(read_file(run.path("checkpoints/step-000002/model.safetensors")),
            read_file(run.path("checkpoints/step-000000/model.safetensors")));
}

std::vector<double> learning_rates(const TinyRun& run) {
  std::vector<double> rates;
  for (const Json& line : run.steps()) rates.push_back(number(line, "learning_rate"));
  return rates;
}

TEST(TrainerUpdate, TheLearningRateRisesAndFalls) {
  TinyRun run;
  run.options.optimizer.warmup_steps = 2;
  run.options.optimizer.schedule = "cosine";
  run.options.train.max_steps = 5;
  run.train();
  using testing::DoubleNear;
  const auto near = [](double share) { return DoubleNear(1e-2 * share, 1e-15); };
  EXPECT_THAT(learning_rates(run),
              testing::ElementsAre(near(0.5), near(1), near(1), near(0.75), near(0.25)));
}

// Where epochs end a run before max_steps, the schedule has come to its end.
TEST(TrainerUpdate, SchedulesEndWithTheEpochs) {
  for (const bool dynamic_sampling : {false, true}) {
    SCOPED_TRACE(dynamic_sampling);
    TinyRun run;
    run.options.optimizer.schedule = "linear";
    run.options.train.epochs = 4;
    run.options.train.max_steps = 100;
    run.options.train.queries_per_step = 3;
    run.options.train.dynamic_sampling = dynamic_sampling;
    run.options.data.test.clear();
    train_judged(run, all_but_one_teach);
    const std::vector<Json> lines = run.steps();
    double position = 0, last = 1;
    for (size_t step = 0; step < lines.size(); ++step) {
      const double steps = static_cast<double>(step) + std::ceil((28 - position) / 3);
      last = number(lines[step], "learning_rate");
      EXPECT_NEAR(last, 1e-2 * (1 - static_cast<double>(step) / steps), 1e-15);
      position += number(lines[step], "sampling/queries_kept") +
                  number(lines[step], "sampling/queries_dropped");
    }
    if (dynamic_sampling) {
      EXPECT_LT(lines.size(), 10u);
    } else {
      EXPECT_EQ(lines.size(), 10u);
    }
    EXPECT_NEAR(last, 1e-2 / static_cast<double>(lines.size()), 1e-15);
  }
}

// Where all scores are equal the loss is that of the betas alone.
TEST(TrainerUpdate, TheScheduleOfTheBetasReachesTheLoss) {
  TinyRun run;
  run.options.objective.kl_beta = 0.5;
  run.options.objective.entropy_beta = 0.25;
  run.options.objective.beta_schedule = "linear";
  run.options.objective.beta_end = 0.2;
  run.options.update.updates_per_batch = 1;
  run.options.train.dynamic_sampling = false;
  train_judged(run, [](const Response&, size_t) { return verdict(1); });
  const std::vector<Json> lines = run.steps();
  const std::vector<double> shares = {1, 0.6, 0.2};
  ASSERT_EQ(lines.size(), shares.size());
  for (size_t step = 0; step < shares.size(); ++step) {
    EXPECT_NEAR(
        number(lines[step], "loss"),
        shares[step] * (0.5 * number(lines[step], "kl") - 0.25 * number(lines[step], "entropy")),
        1e-12);
  }
  EXPECT_GT(number(lines[2], "kl"), 1e-6);
}

}  // namespace
}  // namespace treepo
