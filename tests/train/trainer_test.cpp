#include "train/trainer.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/enum_names.h"
#include "hand_made_verifier.h"
#include "reward/overlong.h"
#include "support/recording_terminal.h"
#include "tiny_run.h"

namespace treepo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<int64_t> steps_of(const std::vector<Json>& lines) {
  std::vector<int64_t> steps;
  for (const Json& line : lines) steps.push_back(line.at("step").get<int64_t>());
  return steps;
}

std::set<std::string> keys_of(const Json& line) {
  std::set<std::string> keys;
  for (const auto& item : line.items()) keys.insert(item.key());
  return keys;
}

TEST(Trainer, WritesOneLineOfMetricsForEachStepAndEvaluation) {
  const TinyRun run;
  const TrainSummary summary = run.train();
  EXPECT_EQ(summary.state.step, 3);
  EXPECT_FALSE(summary.interrupted);
  EXPECT_EQ(steps_of(run.lines("metrics.jsonl")), (std::vector<int64_t>{0, 1, 2, 2, 3, 3}));
  EXPECT_THAT(steps_of(run.evaluations()), ElementsAre(0, 2, 3));

  const std::set<std::string> step_keys = {"step",
                                           "success",
                                           "score/mean",
                                           "score/std",
                                           "reward/mean",
                                           "response/tokens_mean",
                                           "response/tokens_max",
                                           "response/finished",
                                           "stop/answer",
                                           "stop/eos",
                                           "stop/stop_string",
                                           "stop/length",
                                           "stop/depth",
                                           "stop/repetition",
                                           "sampling/entropy",
                                           "sampling/queries_kept",
                                           "sampling/queries_dropped",
                                           "sampling/rounds",
                                           "sampling/trajectories",
                                           "sampling/unique_tokens",
                                           "sampling/trajectory_tokens",
                                           "sampling/unique_share",
                                           "sampling/unique_share/depth_1",
                                           "sampling/unique_share/depth_2",
                                           "sampling/unique_share/depth_3",
                                           "sampling/prefilled_tokens",
                                           "sampling/discarded_paths",
                                           "sampling/suspensions",
                                           "sampling/cut_mass",
                                           "loss",
                                           "grad_norm",
                                           "grad_norm_max",
                                           "learning_rate",
                                           "update/steps",
                                           "update/skipped",
                                           "update/trajectory_tokens",
                                           "update/unique_tokens",
                                           "update/packed_tokens",
                                           "clip_ratio/low_mean",
                                           "clip_ratio/high_mean",
                                           "clip_ratio/dual_mean",
                                           "ratio/mean",
                                           "ratio/max",
                                           "update/approx_kl",
                                           "entropy",
                                           "mismatch/mean",
                                           "mismatch/max",
                                           "mismatch/kl",
                                           "mismatch/k3_kl",
                                           "mismatch/outside",
                                           "mismatch/importance_mean",
                                           "mismatch/masked",
                                           "verify/errors",
                                           "verify/timeouts",
                                           "verify/deaths",
                                           "time/step",
                                           "time/sample",
                                           "time/sample_model",
                                           "time/verify",
                                           "time/advantage",
                                           "time/update",
                                           "time/overhead",
                                           "time/pack",
                                           "speed/unique_tokens_per_s",
                                           "speed/trajectory_tokens_per_s",
                                           "speed/processed_tokens_per_s",
                                           "speed/trajectories_per_s",
                                           "speed/update_packed_tokens_per_s"};
  for (const Json& line : run.steps()) {
    EXPECT_EQ(keys_of(line), step_keys);
    for (const auto& item : line.items()) EXPECT_TRUE(item.value().is_number()) << item.key();
  }
  const std::set<std::string> evaluation_keys = {"step",
                                                 "eval/problems",
                                                 "eval/score",
                                                 "eval/pass@1",
                                                 "eval/pass@1_low",
                                                 "eval/pass@1_high",
                                                 "eval/pass@2",
                                                 "eval/maj@2",
                                                 "eval/greedy",
                                                 "eval/unseen/problems",
                                                 "eval/unseen/score",
                                                 "eval/unseen/pass@1",
                                                 "eval/unseen/pass@1_low",
                                                 "eval/unseen/pass@1_high",
                                                 "eval/unseen/pass@2",
                                                 "eval/unseen/maj@2",
                                                 "eval/unseen/greedy",
                                                 "eval/tokens",
                                                 "eval/finished",
                                                 "time/evaluate"};
  for (const Json& line : run.evaluations()) {
    EXPECT_EQ(keys_of(line), evaluation_keys);
    EXPECT_EQ(line["eval/problems"], 5);
    EXPECT_EQ(line["eval/unseen/problems"], 3);
  }
}

// The numbers of a step, once more from the trees in samples.jsonl.
TEST(Trainer, MetricsAgreeWithTheSampledTrees) {
  TinyRun run;
  run.options.train.sample_queries = 1000;
  run.options.reward.overlong_tokens = 6;
  run.options.reward.overlong_penalty = 0.5;
  const TrainSummary summary = run.train();
  const std::vector<Json> trees = run.lines("samples.jsonl");
  int64_t unique_in_run = 0, trajectories_in_run = 0;
  for (const Json& line : run.steps()) {
    double score = 0, reward = 0, tokens = 0, count = 0, queries = 0, kept = 0, eos = 0;
    int64_t unique = 0;
    std::map<int64_t, double> unique_at, passing_at;  // by depth
    for (const Json& tree : trees) {
      if (tree["step"] != line["step"]) continue;
      queries += 1;
      kept += tree["leaves"][0].contains("advantage") ? 1 : 0;
      std::vector<int64_t> depth = {0};
      for (size_t id = 1; id < tree["nodes"].size(); ++id) {
        const Json& node = tree["nodes"][id];
        depth.push_back(depth.at(node["parent"].get<size_t>()) + 1);
        unique += std::ssize(node["tokens"]);
        unique_at[depth[id]] += static_cast<double>(node["tokens"].size());
      }
      for (const Json& leaf : tree["leaves"]) {
        const auto path = leaf["path"].get<std::vector<size_t>>();
        for (size_t n = 1; n < path.size(); ++n) {
          const bool last = n + 1 == path.size();
          const Json& below = tree["nodes"][last ? 0 : path[n + 1]];
          const auto all = std::ssize(tree["nodes"][path[n]]["tokens"]);
          passing_at[static_cast<int64_t>(n)] +=
              static_cast<double>(below.value("parent_used_tokens", all));
        }
      }
      for (const Json& leaf : tree["leaves"]) {
        const auto length = leaf["num_tokens"].get<int64_t>();
        EXPECT_DOUBLE_EQ(leaf["reward"].get<double>(),
                         leaf["score"].get<double>() -
                             0.5 * std::clamp(static_cast<double>(length - 6) / 6, 0.0, 1.0));
        count += 1;
        tokens += static_cast<double>(length);
        score += leaf["score"].get<double>();
        reward += leaf["reward"].get<double>();
        eos += leaf["end"] == "eos" ? 1 : 0;
      }
    }
    EXPECT_EQ(line["sampling/queries_kept"].get<double>(), kept);
    EXPECT_EQ(line["sampling/queries_dropped"].get<double>(), queries - kept);
    EXPECT_EQ(line["sampling/trajectories"].get<double>(), count);
    EXPECT_EQ(line["sampling/unique_tokens"].get<int64_t>(), unique);
    EXPECT_EQ(line["sampling/trajectory_tokens"].get<double>(), tokens);
    EXPECT_NEAR(line["sampling/unique_share"].get<double>(), static_cast<double>(unique) / tokens,
                1e-12);
    for (const auto& [depth, passing] : passing_at) {
      const std::string key = fmt::format("sampling/unique_share/depth_{}", depth);
      EXPECT_NEAR(line[key].get<double>(), unique_at[depth] / passing, 1e-12);
    }
    EXPECT_NEAR(line["score/mean"].get<double>(), score / count, 1e-12);
    EXPECT_NEAR(line["reward/mean"].get<double>(), reward / count, 1e-12);
    EXPECT_LT(reward, score);
    EXPECT_NEAR(line["response/tokens_mean"].get<double>(), tokens / count, 1e-12);
    EXPECT_NEAR(line["stop/eos"].get<double>(), eos / count, 1e-12);
    unique_in_run += unique;
    trajectories_in_run += static_cast<int64_t>(tokens);
  }
  EXPECT_EQ(summary.state.unique_tokens, unique_in_run);
  EXPECT_EQ(summary.state.trajectory_tokens, trajectories_in_run);
}

TEST(Trainer, SamplesAreWrittenForAsManyQueriesAsAskedFor) {
  TinyRun run;
  run.options.train.sample_queries = 3;
  run.train();
  EXPECT_THAT(steps_of(run.lines("samples.jsonl")), ElementsAre(1, 1, 1, 2, 2, 2, 3, 3, 3));
}

TEST(Trainer, MakesSeveralUpdatesOfABatch) {
  for (const int64_t updates : {1, 2, 4}) {
    TinyRun run;
    run.options.update.updates_per_batch = updates;
    run.options.train.dynamic_sampling = false;  // so that no tree is dropped
    const TrainSummary summary = run.train();
    const std::vector<Json> lines = run.steps();
    for (const Json& line : lines) {
      EXPECT_EQ(line["sampling/queries_kept"], 4);
      EXPECT_EQ(line["update/steps"], updates);
      if (updates == 1) {
        EXPECT_NEAR(line["ratio/max"].get<double>(), 1, 1e-9);
      }
    }
    EXPECT_EQ(CheckpointStore::load_optimizer(summary.checkpoint).steps, 3 * updates);
    EXPECT_EQ(total(lines, "update/trajectory_tokens"), total(lines, "sampling/trajectory_tokens"));
  }
}

// Answers that no response can equal: every tree has equal scores.
TEST(Trainer, ABatchWithNothingToLearnSkipsTheUpdateAndSaysSo) {
  TinyRun run;
  run.options.reward.kind = "exact";
  run.options.train.max_sampling_rounds = 3;
  run.options.optimizer.weight_decay = 0.5;  // an update would change the weights even so
  RecordingTerminal screen(false);
  {
    const ScopedTerminal scope(screen.terminal());
    run.train();
  }
  EXPECT_THAT(screen.written(), HasSubstr("warning: step 2: no update: there is nothing to learn"));
  for (const Json& line : run.steps()) {
    for (const std::string& key : keys_of(line)) {
      EXPECT_FALSE(key == "loss" || key.starts_with("grad_norm") || key == "entropy" ||
                   key.starts_with("ratio/") || key.starts_with("clip_ratio/") ||
                   key.starts_with("mismatch/") || key == "speed/update_packed_tokens_per_s")
          << key;
    }
    EXPECT_EQ(line["update/steps"], 0);
    EXPECT_EQ(line["sampling/queries_kept"], 0);
    EXPECT_EQ(line["sampling/queries_dropped"], 12);
    EXPECT_EQ(line["sampling/rounds"], 3);
  }
  EXPECT_EQ(read_file(run.path("checkpoints/step-000003/model.safetensors")),
            read_file(run.path("checkpoints/step-000000/model.safetensors")));
}

TEST(Trainer, WithoutDynamicSamplingEveryQueryIsKept) {
  TinyRun run;
  run.options.reward.kind = "exact";
  run.options.train.dynamic_sampling = false;
  run.train();
  for (const Json& line : run.steps()) {
    EXPECT_EQ(line["sampling/queries_kept"], 4);
    EXPECT_EQ(line["sampling/rounds"], 1);
    EXPECT_EQ(line["update/steps"], 2);
  }
}

TEST(Trainer, TheReferenceIsTheFirstModel) {
  TinyRun run;
  run.options.objective.kl_beta = 0.1;
  run.options.update.updates_per_batch = 1;
  run.options.train.keep_checkpoints = 4;
  run.train();
  EXPECT_EQ(read_file(run.path("reference/model.safetensors")),
            read_file(run.path("checkpoints/step-000000/model.safetensors")));
  const std::vector<Json> lines = run.steps();
  EXPECT_NEAR(lines[0]["kl"].get<double>(), 0, 1e-12);
  EXPECT_GT(lines[1]["kl"].get<double>(), 1e-6);
  EXPECT_GT(lines[2]["kl"].get<double>(), lines[1]["kl"].get<double>());

  TinyRun without;
  without.options.update.updates_per_batch = 1;
  without.train();
  EXPECT_FALSE(posix_file_system().exists(without.path("reference")));
  for (const Json& line : without.steps()) EXPECT_FALSE(line.contains("kl"));
}

// After a reset the policy is its own reference: the KL term of the next step begins at zero again.
TEST(Trainer, TheReferenceMayBeThePolicyOfAnEarlierStep) {
  TinyRun run;
  run.options.objective.kl_beta = 0.1;
  run.options.objective.reference_every = 2;
  run.options.update.updates_per_batch = 1;
  run.options.train.max_steps = 4;
  run.options.train.keep_checkpoints = 8;
  run.options.train.checkpoint_every = 1;
  run.train();
  const std::vector<Json> lines = run.steps();
  EXPECT_NEAR(lines[0]["kl"].get<double>(), 0, 1e-12);
  EXPECT_GT(lines[1]["kl"].get<double>(), 1e-6);
  EXPECT_NEAR(lines[2]["kl"].get<double>(), 0, 1e-12);
  EXPECT_GT(lines[3]["kl"].get<double>(), 1e-6);
  EXPECT_EQ(read_file(run.path("reference-000004/model.safetensors")),
            read_file(run.path("checkpoints/step-000004/model.safetensors")));
  EXPECT_FALSE(posix_file_system().exists(run.path("reference-000002")));  // nobody needs it
}

TEST(Trainer, TheReferenceMayBeInBfloat16) {
  TinyRun run;
  run.options.objective.kl_beta = 0.1;
  run.options.train.keep_checkpoints = 4;
  run.options.objective.reference_dtype = "bfloat16";
  run.train();
  const double kl =
      run.steps()[0]["kl"].get<double>();  // of rounding the weights, then of learning
  EXPECT_GT(kl, 1e-9);
  EXPECT_LT(kl, 0.5);
  EXPECT_LT(read_file(run.path("reference/model.safetensors")).size() * 3,
            read_file(run.path("checkpoints/step-000000/model.safetensors")).size());
}

// Every advantage of a tree and every objective goes through a whole run.
TEST(Trainer, RunsWithEveryObjectiveAndAdvantage) {
  const auto final_weights = [](Objective kind, AdvantageKind advantage) {
    TinyRun run;
    run.options.objective.kind = kind;
    run.options.objective.kl_beta = 0.01;
    run.options.objective.kl_estimator = KlEstimator::k2;
    run.options.advantage.kind = advantage;
    run.options.train.max_steps = 2;
    run.options.data.test.clear();
    run.train();
    for (const Json& line : run.steps()) {
      EXPECT_EQ(line["update/skipped"], 0);
      EXPECT_GT(line["grad_norm"].get<double>(), 0);
    }
    return read_file(run.path("checkpoints/step-000002/model.safetensors"));
  };
  std::set<std::string> different;
  for (size_t i = 0; i < kEnumNames<Objective>.size(); ++i)
    different.insert(final_weights(static_cast<Objective>(i), AdvantageKind::tree));
  // reinforce_plus_plus is dapo with rules for other sections.
  EXPECT_EQ(different.size(), kEnumNames<Objective>.size() - 1);
  different.clear();
  for (size_t i = 0; i < kEnumNames<AdvantageKind>.size(); ++i)
    different.insert(final_weights(Objective::dapo, static_cast<AdvantageKind>(i)));
  EXPECT_GE(different.size(), kEnumNames<AdvantageKind>.size() - 2);
}

TEST(Trainer, EpochsEndARun) {
  const auto steps = [](double epochs, int64_t max_steps) {
    TinyRun run;
    run.options.train.epochs = epochs;
    run.options.train.max_steps = max_steps;
    run.options.train.queries_per_step = 3;
    run.options.train.dynamic_sampling = false;
    run.options.evaluate.greedy = false;
    const TrainSummary summary = run.train();
    EXPECT_EQ(run.evaluations().back()["step"], summary.state.step);
    return summary.state.step;
  };
  EXPECT_EQ(steps(0.5, 100), 2);  // of 7 problems
  EXPECT_EQ(steps(1, 100), 3);
  EXPECT_EQ(steps(2, 100), 5);
  EXPECT_EQ(steps(2, 4), 4);
}

TEST(Trainer, EvaluatesBeforeAfterAndInBetween) {
  TinyRun run;
  run.options.train.max_steps = 5;
  run.options.evaluate.every = 2;
  run.options.evaluate.queries = 4;
  const TrainSummary summary = run.train();
  const std::vector<Json> lines = run.evaluations();
  EXPECT_THAT(steps_of(lines), ElementsAre(0, 2, 4, 5));
  EXPECT_EQ(lines[0]["eval/problems"], 4);
  EXPECT_EQ(lines[0]["eval/unseen/problems"], 2);
  EXPECT_EQ(summary.state.first_pass_at_1, lines[0]["eval/pass@1"]);
  EXPECT_EQ(summary.state.first_greedy, lines[0]["eval/greedy"]);
  EXPECT_EQ(summary.state.first_unseen_pass_at_1, lines[0]["eval/unseen/pass@1"]);
  EXPECT_EQ(summary.state.first_unseen_greedy, lines[0]["eval/unseen/greedy"]);
  EXPECT_EQ(summary.last_evaluation->summary.score.mean, lines[3]["eval/score"]);

  TinyRun ends_only;
  ends_only.options.evaluate.every = 0;
  ends_only.train();
  EXPECT_THAT(steps_of(ends_only.evaluations()), ElementsAre(0, 3));
}

TEST(Trainer, ARunWithoutTestProblems) {
  TinyRun run;
  run.options.data.test.clear();
  const TrainSummary summary = run.train();
  EXPECT_TRUE(run.evaluations().empty());
  EXPECT_FALSE(summary.last_evaluation);
  EXPECT_EQ(summary.state.best_step, -1);
  EXPECT_EQ(summary.checkpoint, run.path("checkpoints/step-000003"));
  EXPECT_THAT(run.checkpoints(), ElementsAre("step-000000", "step-000003"));
}

TEST(Trainer, TheNewestCheckpointsAndTheBestAreKept) {
  TinyRun run;
  run.options.train.max_steps = 8;
  run.options.train.checkpoint_every = 1;
  run.options.train.keep_checkpoints = 2;
  run.options.evaluate.every = 1;
  run.options.optimizer.learning_rate = 0.3;  // does more harm than good
  const TrainSummary summary = run.train();
  double best_score = -1;
  int64_t best = -1;
  for (const Json& line : run.evaluations()) {
    if (line["eval/score"].get<double>() <= best_score) continue;
    best_score = line["eval/score"].get<double>();
    best = line["step"].get<int64_t>();
  }
  ASSERT_LT(best, 7) << "choose a higher learning rate, so that the best is not among the newest";
  EXPECT_EQ(summary.state.best_step, best);
  EXPECT_EQ(summary.state.best_score, best_score);
  EXPECT_THAT(run.checkpoints(),
              ElementsAre("best", fmt::format("step-{:06}", best), "step-000007", "step-000008"));
  EXPECT_EQ(CheckpointStore::load_state(run.path("checkpoints/best")).step, best);
  const Decoder loaded = Decoder::load(run.path("checkpoints/step-000008"), at::kCPU, at::kDouble);
  EXPECT_FALSE(at::equal(loaded.parameters().values(), run.model.decoder.parameters().values()));
}

// The quickstart in small: a fresh model, warm start, carry problems, everything in one go.
TEST(Trainer, WarmStartComesFirst) {
  const TemporaryDirectory directory;
  RunOptions options;
  options.model = {.path = "",
                   .dtype = "float64",
                   .hidden_size = 16,
                   .num_layers = 1,
                   .num_heads = 2,
                   .num_kv_heads = 1,
                   .intermediate_size = 16,
                   .max_positions = 64,
                   .initializer_range = 0.1};
  options.data.kind = "carry";
  options.data.held_out = 4;
  options.reward.kind = "carry";
  options.warm_start = {.steps = 100, .batch = 16};
  options.rollout = {.width = 4, .depth = 5, .segment_tokens = 8};
  options.evaluate = {.every = 0, .queries = 2, .samples = 1};
  options.update.updates_per_batch = 1;
  options.train.queries_per_step = 2;
  options.train.max_sampling_rounds = 1;
  options.train.max_steps = 1;
  options.train.threads = 1;
  options.train.run_dir = directory / "run";
  validate_for_training(options);
  Trainer(options, Trainer::Start::fresh).run({});

  std::vector<double> losses;
  JsonLineReader reader(directory / "run/metrics.jsonl");
  for (Json line; reader.next(line);) {
    EXPECT_EQ(line.contains("warm_start/loss"),
              losses.size() < 2 && line["step"] == 0 && !line.contains("eval/score"));
    if (line.contains("warm_start/loss")) losses.push_back(line["warm_start/loss"].get<double>());
  }
  ASSERT_EQ(losses.size(), 2u);  // after 50 steps and at the end
  EXPECT_LT(losses[1], losses[0]);
  EXPECT_LT(losses[1], std::log(24.0));
}

// A verifier and a growth policy of the user's: rewards are the verifier's in training and in
// evaluation, and all that is free of a budget goes to the last path.
TEST(Trainer, TakesPartsOfItsUsers) {
  TinyRun run;
  run.options.reward.kind = "exact";
  run.options.rollout.divergence = BudgetSplit::even;
  run.options.train.dynamic_sampling = false;
  int64_t splits = 0;
  TrainerParts parts;
  parts.verifier = std::make_unique<HandMadeVerifier>([](const Response& response, size_t) {
    return verdict(response.text.empty() ? -1 : response.text.front(), true);
  });
  parts.callbacks.split_budget = [&](const Query&, const SearchTree&,
                                     std::span<const int32_t> active, int32_t budget) {
    ++splits;
    std::vector<int32_t> children(active.size(), 1);
    children.back() += budget - static_cast<int32_t>(active.size());
    return children;
  };
  validate_for_training(run.options);
  const TrainSummary summary =
      Trainer(run.options, Trainer::Start::fresh, std::move(parts)).run({});
  EXPECT_GT(splits, 10);
  EXPECT_EQ(summary.last_evaluation->summary.average.mean, 1);
  int64_t leaves = 0;
  for (const Json& tree : run.lines("samples.jsonl")) {
    for (const Json& leaf : tree.at("leaves")) {
      const auto text = leaf.at("text").get<std::string>();
      EXPECT_EQ(leaf.at("score").get<double>(), text.empty() ? -1 : text.front());
      ++leaves;
    }
  }
  EXPECT_EQ(leaves, 3 * 2 * 8);
}

}  // namespace
}  // namespace treepo
