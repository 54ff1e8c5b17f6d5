// Runs whose rewards lose the KL to the reference model before advantages are taken.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "dense_forward.h"
#include "hand_made_verifier.h"
#include "rollout/tree_json.h"
#include "support/expect_error.h"
#include "support/recording_terminal.h"
#include "tiny_run.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr double kTemperature = 0.8;

void put_kl_in_reward(TinyRun& run, double beta) {
  run.options.objective.kl_in_reward = true;
  run.options.objective.kl_beta = beta;
  run.options.objective.kl_estimator = KlEstimator::k1;
}

// A trajectory of a tree that was kept, as the twin sees it.
struct Trajectory {
  size_t tree = 0;
  std::vector<int32_t> path, used;
  double reward = 0, tokens = 0, logged_penalty = 0, logged_advantage = 0;
  double penalty = 0, advantage = 0;  // the twin's
};

double log_probability(const Decoder& decoder, const std::vector<int32_t>& prompt,
                       const std::vector<int32_t>& response) {
  std::vector<int32_t> tokens = prompt;
  tokens.insert(tokens.end(), response.begin(), response.end());
  const at::Tensor logprobs = (dense_logits(decoder, tokens) / kTemperature).log_softmax(-1);
  double sum = 0;
  for (size_t t = 0; t < response.size(); ++t)
    sum += logprobs[static_cast<int64_t>(prompt.size() + t) - 1][response[t]].item<double>();
  return sum;
}

Decoder checkpoint_of(const TinyRun& run, int64_t step) {
  return Decoder::load(run.path(fmt::format("checkpoints/step-{:06}", step)), at::kCPU,
                       at::kDouble);
}

// Those of one step, with penalties from dense forward passes over each.
std::vector<Trajectory> trajectories_of(const TinyRun& run, int64_t step, double beta) {
  const Decoder old = checkpoint_of(run, step - 1), reference = checkpoint_of(run, 0);
  std::vector<Trajectory> all;
  size_t number = 0;
  for (const Json& line : run.lines("samples.jsonl")) {
    if (line["step"] != step || !line["leaves"][0].contains("advantage")) continue;
    const TreeRecord record = tree_from_json(line, "samples.jsonl");
    const SearchTree& tree = record.tree;
    const std::vector<int32_t> prompt(tree.prompt().begin(), tree.prompt().end());
    for (size_t i = 0; i < tree.leaves().size(); ++i) {
      const int32_t leaf = tree.leaves()[i];
      const std::vector<int32_t> response = tree.response(leaf);
      const double log_ratio =
          log_probability(old, prompt, response) - log_probability(reference, prompt, response);
      all.push_back({.tree = number,
                     .path = tree.path(leaf),
                     .used = tree.path_used_tokens(leaf),
                     .reward = record.notes.rewards[i],
                     .tokens = static_cast<double>(response.size()),
                     .logged_penalty = line["leaves"][i]["kl_penalty"].get<double>(),
                     .logged_advantage = record.notes.advantages[i],
                     .penalty = beta * log_ratio});
    }
    ++number;
  }
  return all;
}

// Mean penalised reward of the trajectories through the node of i at a depth, and their number.
std::pair<double, int> value_at(const std::vector<Trajectory>& all, const Trajectory& i,
                                size_t depth) {
  double sum = 0;
  int count = 0;
  for (const Trajectory& k : all) {
    if (k.tree != i.tree || depth >= k.path.size() || k.path[depth] != i.path[depth]) continue;
    sum += k.reward - k.penalty;
    ++count;
  }
  return {sum / count, count};
}

// Whitened advantages, trajectory by trajectory, of kind tree…
void credit_trees(std::vector<Trajectory>& all) {
  double tokens = 0, mean = 0, variance = 0;
  for (Trajectory& i : all) {
    double sum = 0, levels = 0;
    for (size_t depth = 0; depth < i.path.size(); ++depth) {
      const auto [value, count] = value_at(all, i, depth);
      if (depth > 0 && count == 1) continue;
      sum += i.reward - i.penalty - (count > 1 ? value : 0);
      ++levels;
    }
    i.advantage = sum / levels;
    tokens += i.tokens;
    mean += i.tokens * i.advantage;
  }
  mean /= tokens;
  for (const Trajectory& i : all) variance += i.tokens * std::pow(i.advantage - mean, 2);
  const double scale = std::sqrt(variance / (tokens - 1) + 1e-8);
  for (Trajectory& i : all) i.advantage = (i.advantage - mean) / scale;
}

// …and of kind segment, the mean over a trajectory's tokens.
void credit_segments(std::vector<Trajectory>& all) {
  double tokens = 0, squares = 0;
  for (Trajectory& i : all) {
    i.advantage = 0;
    for (size_t depth = 1; depth < i.path.size(); ++depth) {
      const double node = value_at(all, i, depth).first - value_at(all, i, depth - 1).first;
      i.advantage += i.used[depth] * node / i.tokens;
      squares += i.used[depth] * node * node;
    }
    tokens += i.tokens;
  }
  for (Trajectory& i : all) i.advantage /= std::sqrt(squares / tokens + 1e-8);
}

// Penalties and advantages of every trajectory, those that mask_truncated leaves out of the loss
// included, from the weights of two checkpoints. The weight of the KL follows its schedule.
TEST(KlInReward, EqualsALoopOverTrajectories) {
  for (const AdvantageKind kind : {AdvantageKind::tree, AdvantageKind::segment}) {
    for (const bool recompute : {false, true}) {
      SCOPED_TRACE(fmt::format("{} {}", static_cast<int>(kind), recompute));
      TinyRun run;
      put_kl_in_reward(run, 0.2);
      run.options.objective.beta_schedule = "linear";
      run.options.objective.beta_end = 0.5;
      run.options.objective.mask_truncated = true;
      run.options.advantage.kind = kind;
      run.options.update.recompute_old_logprobs = recompute;
      run.options.sampling.temperature = kTemperature;
      run.options.train.checkpoint_every = 1;
      run.options.train.keep_checkpoints = 8;
      run.options.train.sample_queries = 100;
      run.options.data.test.clear();
      run.train();
      const std::vector<Json> lines = run.steps();
      double largest = 0;
      for (int64_t step = 1; step <= 3; ++step) {
        const double beta = 0.2 * (1 - 0.25 * static_cast<double>(step - 1));
        std::vector<Trajectory> all = trajectories_of(run, step, beta);
        ASSERT_GT(all.size(), 8u);
        kind == AdvantageKind::tree ? credit_trees(all) : credit_segments(all);
        double sum = 0;
        for (const Trajectory& i : all) {
          EXPECT_NEAR(i.logged_penalty, i.penalty, 1e-9);
          EXPECT_NEAR(i.logged_advantage, i.advantage, 1e-6);
          largest = std::max(largest, std::abs(i.penalty));
          sum += i.penalty;
        }
        const Json& line = lines[static_cast<size_t>(step) - 1];
        EXPECT_NEAR(line["reward/kl_penalty"].get<double>(), sum / static_cast<double>(all.size()),
                    1e-9);
        EXPECT_LT(line["update/trajectory_tokens"], line["sampling/trajectory_tokens"]);
      }
      EXPECT_GT(largest, 0.01);
    }
  }
}

// A large weight leaves the policy nothing but to stay near the reference.
TEST(KlInReward, HoldsThePolicyNearTheReference) {
  const auto last_kl = [](double beta) {
    TinyRun run;
    put_kl_in_reward(run, beta);
    run.options.update.updates_per_batch = 1;
    run.options.train.max_steps = 12;
    run.options.train.queries_per_step = 7;
    run.options.data.test.clear();
    run.train();
    return run.steps().back()["kl"].get<double>();
  };
  const double free = last_kl(1e-9), held = last_kl(100);
  EXPECT_GT(free, 0.05);
  EXPECT_LT(held, free / 4);
}

// Of a reference whose log-probs are no numbers, as float16 may have it: nothing is learnt, and the
// run ends as it does for gradients that are not finite.
TEST(KlInReward, UpdatesAreSkippedWhereItIsNotFinite) {
  for (const AdvantageKind kind : {AdvantageKind::tree, AdvantageKind::segment}) {
    TinyRun run;
    put_kl_in_reward(run, 0.2);
    run.options.advantage.kind = kind;
    run.options.train.max_steps = 4;
    run.options.data.test.clear();
    run.train(Trainer::Start::fresh, [] { return true; });  // one step
    {
      Decoder reference = Decoder::load(run.path("reference"), at::kCPU, at::kDouble);
      reference.parameters().values().fill_(std::nan(""));
      reference.save(run.path("reference"), at::kDouble);
    }
    RecordingTerminal screen(false);
    {
      const ScopedTerminal scope(screen.terminal());
      EXPECT_THAT(error_of([&] { run.resume({"train.max_skipped_updates=2"}); }),
                  AllOf(HasSubstr("step 3: 2 updates in a row had a gradient that is not finite"),
                        HasSubstr("lower optimizer.learning_rate")));
    }
    EXPECT_THAT(screen.written(),
                AllOf(HasSubstr("warning: step 2: an update was skipped: objective.kl_in_reward "),
                      HasSubstr("nan from leaf 0 of query ")));
    const std::vector<Json> steps = run.steps();
    ASSERT_EQ(steps.size(), 3u);
    for (size_t i : {1, 2}) {
      EXPECT_EQ(steps[i]["update/steps"], 1);
      EXPECT_EQ(steps[i]["update/skipped"], 1);
      EXPECT_TRUE(steps[i].contains("reward/mean"));
      EXPECT_FALSE(steps[i].contains("loss") || steps[i].contains("reward/kl_penalty"));
    }
    EXPECT_EQ(read_file(run.path("checkpoints/step-000003/model.safetensors")),
              read_file(run.path("checkpoints/step-000001/model.safetensors")));
  }
}

// Queries are dropped by the verifier's scores, whatever the KL makes of their rewards.
TEST(KlInReward, DynamicSamplingLooksAtScores) {
  for (const bool dynamic_sampling : {true, false}) {
    TinyRun run;
    put_kl_in_reward(run, 1);
    run.options.train.dynamic_sampling = dynamic_sampling;
    run.options.train.max_sampling_rounds = 1;
    run.options.data.test.clear();
    const auto judge = [](const Response&, size_t) { return verdict(1); };
    Trainer(run.options, Trainer::Start::fresh,
            {.verifier = std::make_unique<HandMadeVerifier>(judge)})
        .run({});
    for (const Json& line : run.steps()) {
      EXPECT_EQ(line["sampling/queries_kept"], dynamic_sampling ? 0 : 4);
      EXPECT_EQ(line.contains("reward/kl_penalty"), !dynamic_sampling);
      EXPECT_EQ(line["reward/mean"], 1);  // before the penalty
    }
  }
}

}  // namespace
}  // namespace treepo
