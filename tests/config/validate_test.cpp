#include "config/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/declare.h"
#include "config/load.h"
#include "config/sft_options.h"
#include "support/expect_error.h"

namespace treepo {
namespace {

using testing::HasSubstr;

constexpr const char* kNone = "(no error was thrown)";

RunOptions options_with(const std::vector<std::string>& arguments) {
  RunOptions options;
  const OptionTable table = declare_options(options);
  for (const std::string& argument : arguments) apply_override(table, argument);
  return options;
}

// "carry" needs no files, so it is the smallest configuration that can be trained.
const std::vector<std::string> kSmallest = {"data.kind=carry", "reward.kind=carry",
                                            "rollout.depth=4", "rollout.segment_tokens=8",
                                            "rollout.width=4"};

std::string training_error(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), kSmallest.begin(), kSmallest.end());
  return error_of([&] { validate_for_training(options_with(arguments)); });
}

TEST(Validate, SmallestConfigurationIsValid) {
  EXPECT_EQ(training_error({}), kNone);
}

struct Case {
  std::vector<std::string> arguments;
  const char* error;  // part of the message
};

TEST(Validate, RulesBetweenOptions) {
  const Case cases[] = {
      {{"model.random_weights=true"}, "model.random_weights needs a directory"},
      {{"rollout.depth=65536", "rollout.segment_tokens=65536"}, "beyond what a position can count"},
      {{"rollout.first_split_min=3"}, "rollout.first_split_min must not exceed"},
      {{"rollout.first_split_max=5"},
       "rollout.first_split_max must not exceed rollout.width "
       "(rollout.first_split_max = 5, rollout.width = 4)"},
      {{"rollout.budget=fixed", "rollout.first_split_max=5"}, "rollout.first_split_max must not"},
      {{"rollout.branching_min=5"},
       "rollout.branching_min must not exceed rollout.branching_max (rollout.branching_min = 5, "
       "rollout.branching_max = 4)"},
      {{"rollout.budget=random", "rollout.branching_max=5"},
       "rollout.branching_max must not exceed rollout.width: the first split is drawn up to it "
       "(rollout.budget = random, rollout.branching_max = 5, rollout.width = 4)"},
      {{"rollout.budget=tokens_per_step", "rollout.tokens_per_step=7"},
       "rollout.tokens_per_step must hold at least one segment of each query "
       "(rollout.tokens_per_step = 7, rollout.segment_tokens = 8, queries sampled together = 1)"},
      {{"rollout.limit=tokens", "rollout.token_budget=7"},
       "rollout.token_budget must hold at least one segment"},
      {{"rollout.limit=tokens", "rollout.width_min=5"},
       "rollout.width_min must not exceed rollout.width"},
      {{"rollout.divergence_temperature_low=6"},
       "rollout.divergence_temperature_low must not exceed"},
      {{"rollout.prune=logprob", "rollout.prune_share=0.24"},
       "nothing would be pruned (rollout.prune = logprob, rollout.prune_share = 0.24, "
       "rollout.width = 4)"},
      {{"rollout.fallback_from=long_answers"},
       "no rule stops a path at one (rollout.fallback_from = long_answers, stop.answer = none"},
      {{"rollout.fallback_from=long_answers", "stop.answer=boxed",
        "rollout.fallback_min_windows=5"},
       "no response is as long as rollout.fallback_min_windows"},
      {{"lora.rank=4", "model.path=m", "lora.targets=[]"}, "adapters need matrices"},
      {{"lora.rank=4", "model.path=m", "lora.targets=[\"q_proj\", \"lm_head\"]"},
       "names no matrix of a decoder layer (lora.targets = lm_head)"},
      {{"lora.rank=4", "model.path=m", "lora.targets=[\"q_proj\", \"q_proj\"]"},
       "lora.targets holds \"q_proj\" twice"},
      {{"lora.rank=4"}, "a model that can be loaded again"},
      {{"lora.rank=4", "model.path=m", "model.random_weights=true"},
       "a model that can be loaded again"},
      {{"lora.rank=4", "model.path=m", "warm_start.steps=3"},
       "adapters freeze them (lora.rank = 4, warm_start.steps = 3)"},
      {{"stop.min_response_tokens=32"}, "stop.min_response_tokens must be below"},
      {{"stop.response_tokens=20", "stop.min_response_tokens=20"}, "longest response = 20"},
      {{"stop.stop_strings=[\"a\", \"\"]"}, "empty text"},
      {{"stop.stop_strings=[\"a\", \"b\", \"a\"]"}, "stop.stop_strings holds \"a\" twice"},
      {{"engine.max_rows=64", "engine.max_step_tokens=63"}, "engine.max_rows must not exceed"},
      {{"reward.overlong_tokens=33"}, "reward.overlong_tokens must not exceed"},
      {{"evaluate.samples=0", "evaluate.greedy=false"}, "evaluation would answer nothing"},
      {{"objective.dual_clip=1"}, "objective.dual_clip must be 0 (off) or above 1"},
      {{"objective.importance_cap=0.5", "update.recompute_old_logprobs=true"}, "at least 1"},
      {{"objective.importance_cap=2"}, "update.recompute_old_logprobs = false"},
      {{"objective.importance_mask=token"},
       "(objective.importance_mask = token, update.recompute_old_logprobs = false)"},
      {{"objective.kind=gspo", "objective.ratio=token"},
       "gspo is grpo with the ratio of sequences"},
      {{"objective.kind=reinforce_plus_plus", "advantage.whiten=false"},
       "normalises advantages over the batch"},
      {{"objective.kind=reinforce_plus_plus", "advantage.query_std=true"},
       "normalises advantages over the batch"},
      {{"objective.kind=reinforce_plus_plus", "objective.kl_beta=0.1"},
       "(objective.kl_beta = 0.1, objective.kl_estimator = k3)"},
      {{"objective.kind=reinforce_plus_plus", "objective.kl_beta=0.1", "objective.kl_estimator=k1"},
       "KL term of reinforce_plus_plus is estimated by k2"},
      {{"objective.kind=reinforce_plus_plus", "objective.kl_beta=0.1", "objective.kl_estimator=k2",
        "objective.kl_in_reward=true"},
       "KL in the reward of reinforce_plus_plus is estimated by k1"},
      {{"objective.kl_in_reward=true"},
       "without a weight (objective.kl_in_reward = true, objective.kl_beta = 0)"},
      {{"advantage.kind=sibling_normalized", "advantage.query_std=true"},
       "by the siblings' standard deviation already"},
      {{"optimizer.min_lr_ratio=0.1"}, "a constant learning rate has no other at its end"},
      {{"train.queries_per_step=3"}, "update.updates_per_batch must not exceed"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(training_error(c.arguments), HasSubstr(c.error));
    auto arguments = kSmallest;
    arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
    EXPECT_THAT(error_of([&] { validate(options_with(arguments)); }), HasSubstr(c.error));
  }
}

TEST(Validate, RulesOfATrainingRun) {
  const Case cases[] = {
      {{"rollout.budget=tokens_per_step", "rollout.tokens_per_step=39", "train.queries_per_step=5"},
       "(rollout.tokens_per_step = 39, rollout.segment_tokens = 8, queries sampled together = 5)"},
      {{"model.hidden_size=10"},
       "model.hidden_size must be a multiple of model.num_heads "
       "(model.hidden_size = 10, model.num_heads = 4)"},
      {{"model.hidden_size=12"}, "must be even, for rotary positions"},
      {{"model.num_kv_heads=3"}, "model.num_heads must be a multiple of model.num_kv_heads"},
      {{"model.num_kv_heads=8"}, "model.num_heads must be a multiple of model.num_kv_heads"},
      {{"model.max_positions=32"},
       "no room for a prompt in model.max_positions (longest response "
       "= 32, model.max_positions = 32)"},
      {{"data.kind=files", "model.path=m"}, "data.train is empty"},
      {{"data.kind=files", "data.train=f"}, "tokenizer of data.kind"},
      {{"data.kind=files", "data.train=f", "model.path=m", "warm_start.steps=9"}, "demonstrations"},
      {{"train.epochs=2"}, "never repeat"},
      {{"reward.kind=exact"}, "can pass this verifier (reward.kind = exact)"},
      {{"reward.parts=[\"carry\"]"}, "reward.parts is for reward.kind = \"parts\""},
      {{"reward.kind=parts"}, "reward.parts is empty"},
      {{"rollout.width=1", "rollout.first_split_min=1", "rollout.first_split_max=1"},
       "always has equal scores"},
      {{"train.run_dir="}, "a run needs a directory"},
  };
  for (const Case& c : cases) EXPECT_THAT(training_error(c.arguments), HasSubstr(c.error));
}

// A number out of its own range is refused when it is read.
TEST(Validate, RangesOfPoliciesAndSampling) {
  for (const char* argument : {"sampling.temperature=0",
                               "sampling.temperature=-1",
                               "sampling.top_p=0",
                               "sampling.top_p=1.1",
                               "sampling.min_p=-0.1",
                               "sampling.min_p=1.5",
                               "sampling.top_k=-1",
                               "evaluate.temperature=0",
                               "evaluate.top_p=2",
                               "rollout.divergence=steep",
                               "rollout.divergence_temperature=0",
                               "rollout.divergence_temperature_low=0",
                               "rollout.prune_share=1",
                               "rollout.prune_share=-0.1",
                               "rollout.prune_margin=-1",
                               "rollout.branching_min=0",
                               "rollout.tokens_per_step=0",
                               "rollout.token_budget=0",
                               "rollout.width_min=0",
                               "rollout.fallback=here",
                               "rollout.fallback_from=nowhere",
                               "rollout.fallback_min_windows=0",
                               "rollout.fallback_block_tokens=0",
                               "rollout.fallback_copies=-1",
                               "rollout.fallback_max_rounds=-1"}) {
    const std::string key = std::string(argument).substr(0, std::string(argument).find('='));
    EXPECT_THAT(training_error({argument}), HasSubstr(key + " must be")) << argument;
  }
}

// What is at the edge of a rule, or switches it off, is allowed.
TEST(Validate, EdgesAreAllowed) {
  const std::vector<std::string> cases[] = {
      {"model.max_positions=33"},
      {"model.hidden_size=10", "model.path=m"},  // a model from files has its own sizes
      {"rollout.first_split_max=4"},
      {"rollout.first_split_max=9", "rollout.sequential=true"},
      {"rollout.first_split_max=9", "rollout.budget=random"},  // drawn from branching_min … _max
      {"rollout.first_split_max=9", "rollout.budget=tokens_per_step"},
      {"rollout.branching_max=9"},
      {"rollout.branching_max=9", "rollout.budget=random", "rollout.sequential=true"},
      {"rollout.tokens_per_step=7"},
      {"rollout.tokens_per_step=40", "rollout.budget=tokens_per_step", "train.queries_per_step=5"},
      {"rollout.tokens_per_step=39", "train.queries_per_step=5"},
      {"rollout.token_budget=7", "rollout.width_min=9"},
      {"rollout.token_budget=8", "rollout.limit=tokens", "rollout.width_min=4"},
      {"rollout.divergence_temperature_low=5"},
      {"rollout.prune=value", "rollout.prune_share=0.25"},
      {"rollout.prune_share=0"},
      {"rollout.sequential=true", "rollout.prune=value", "rollout.prune_share=0",
       "rollout.budget=tokens_per_step", "rollout.tokens_per_step=7", "rollout.limit=tokens",
       "rollout.token_budget=7", "rollout.width_min=9"},
      {"rollout.fallback_from=long_answers", "stop.answer=boxed", "rollout.fallback_min_windows=4"},
      {"rollout.fallback_from=long_answers", "stop.stop_strings=[\"a\"]"},
      {"rollout.fallback_from=long_answers", "rollout.fallback=none"},
      {"rollout.width=1", "rollout.first_split_min=1", "rollout.first_split_max=1",
       "train.dynamic_sampling=false"},
      {"rollout.depth=1"},
      {"stop.response_tokens=5"},  // a segment longer than the response
      {"stop.response_tokens=1000"},
      {"stop.min_response_tokens=31"},
      {"engine.max_rows=64", "engine.max_step_tokens=64"},
      {"reward.overlong_tokens=32"},
      {"evaluate.samples=0"},
      {"objective.dual_clip=0"},
      {"lora.rank=4", "model.path=m", "lora.targets=[\"down_proj\"]"},
      {"lora.targets=[]"},
      {"objective.importance_cap=1", "update.recompute_old_logprobs=true"},
      {"objective.importance_mask=sequence", "update.recompute_old_logprobs=true"},
      {"objective.kind=gspo", "objective.ratio=sequence"},
      {"objective.kind=reinforce_plus_plus"},
      {"objective.kind=reinforce_plus_plus", "objective.kl_beta=0.1", "objective.kl_estimator=k2"},
      {"objective.kind=reinforce_plus_plus", "objective.kl_beta=0.1", "objective.kl_estimator=k1",
       "objective.kl_in_reward=true"},
      {"objective.kl_beta=0.1", "objective.kl_in_reward=true"},
      {"optimizer.min_lr_ratio=0.1", "optimizer.schedule=cosine"},
      {"train.queries_per_step=4"},
      {"train.max_steps=0"},
      {"reward.kind=numeric"},
      {"data.kind=files", "data.train=f", "model.path=m", "train.epochs=0.5"},
      {"reward.kind=python:rewards.py:score"},
      {"reward.kind=parts", "reward.parts=[\"carry\", \"0.1*length:9\"]"},
  };
  for (const auto& arguments : cases) EXPECT_EQ(training_error(arguments), kNone) << arguments[0];
}

TEST(Validate, SupervisedTraining) {
  const auto error = [](std::vector<std::string> arguments) {
    return error_of([&] { validate_for_sft(options_with(arguments)); });
  };
  EXPECT_EQ(error({"sft.train=f", "model.path=m"}), kNone);
  EXPECT_EQ(error({"sft.train=f", "model.path=m", "lora.rank=4"}), kNone);
  // A fresh model's context need not hold what is never sampled.
  EXPECT_EQ(error({"sft.train=f", "model.max_positions=16"}), kNone);
  EXPECT_THAT(error({"sft.train=f", "model.num_heads=3"}), HasSubstr("model.num_heads"));
  EXPECT_THAT(error({"model.path=m"}), HasSubstr("sft.train is empty"));
  EXPECT_THAT(error({"sft.train=f", "model.path=m", "warm_start.steps=3"}),
              HasSubstr("warm_start.steps = 3"));
  EXPECT_THAT(error({"sft.train=f", "lora.rank=4"}), HasSubstr("model.path"));
  EXPECT_THAT(error({"sft.train=f", "model.path=m", "train.run_dir="}), HasSubstr("train.run_dir"));
}

TEST(Validate, WhatSupervisedTrainingDoesNotRead) {
  EXPECT_TRUE(set_but_unread_by_sft({}).empty());
  const std::vector<std::string> read = {
      "sft.batch=3",        "model.dtype=bfloat16", "train.epochs=2",     "evaluate.every=3",
      "data.bad_rows=skip", "update.max_tokens=99", "optimizer.beta1=0.8"};
  EXPECT_TRUE(set_but_unread_by_sft(options_with(read)).empty());
  EXPECT_THAT(set_but_unread_by_sft(options_with(
                  {"rollout.width=3", "evaluate.queries=7", "evaluate.samples=7",
                   "evaluate.greedy=false", "update.packed=false", "train.sample_queries=9",
                   "train.seed=3", "objective.kind=grpo", "evaluate.samples=4"})),
              testing::ElementsAre("rollout.width", "objective.kind", "update.packed",
                                   "train.sample_queries", "evaluate.queries", "evaluate.greedy"));
}

}  // namespace
}  // namespace treepo
