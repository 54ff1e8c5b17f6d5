#include "config/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/declare.h"
#include "config/load.h"
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
      {{"stop.min_response_tokens=32"}, "stop.min_response_tokens must be below"},
      {{"stop.response_tokens=20", "stop.min_response_tokens=20"}, "longest response = 20"},
      {{"stop.stop_strings=[\"a\", \"\"]"}, "empty text"},
      {{"stop.stop_strings=[\"a\", \"b\", \"a\"]"}, "holds a text twice (stop.stop_strings = a)"},
      {{"engine.max_rows=64", "engine.max_step_tokens=63"}, "engine.max_rows must not exceed"},
      {{"reward.overlong_tokens=33"}, "reward.overlong_tokens must not exceed"},
      {{"evaluate.samples=0", "evaluate.greedy=false"}, "evaluation would answer nothing"},
      {{"objective.dual_clip=1"}, "objective.dual_clip must be 0 (off) or above 1"},
      {{"objective.importance_cap=0.5", "update.recompute_old_logprobs=true"}, "at least 1"},
      {{"objective.importance_cap=2"}, "update.recompute_old_logprobs = false"},
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
      {{"model.hidden_size=10"},
       "model.hidden_size must be a multiple of model.num_heads "
       "(model.hidden_size = 10, model.num_heads = 4)"},
      {{"model.hidden_size=12"}, "must be even, for rotary positions"},
      {{"model.num_kv_heads=3"}, "model.num_heads must be a multiple of model.num_kv_heads"},
      {{"model.num_kv_heads=8"}, "model.num_heads must be a multiple of model.num_kv_heads"},
      {{"model.max_positions=32"},
       "no room for a prompt in model.max_positions (longest response "
       "= 32, model.max_positions = 32)"},
      {{"data.kind=jsonl", "model.path=m"}, "data.train is empty"},
      {{"data.kind=jsonl", "data.train=f"}, "tokenizer of data.kind"},
      {{"data.kind=jsonl", "data.train=f", "model.path=m", "warm_start.steps=9"}, "demonstrations"},
      {{"train.epochs=2"}, "never repeat"},
      {{"reward.kind=exact"}, "can pass this verifier (reward.kind = exact)"},
      {{"rollout.width=1", "rollout.first_split_min=1", "rollout.first_split_max=1"},
       "always has equal scores"},
      {{"train.run_dir="}, "a run needs a directory"},
  };
  for (const Case& c : cases) EXPECT_THAT(training_error(c.arguments), HasSubstr(c.error));
}

// What is at the edge of a rule, or switches it off, is allowed.
TEST(Validate, EdgesAreAllowed) {
  const std::vector<std::string> cases[] = {
      {"model.max_positions=33"},
      {"model.hidden_size=10", "model.path=m"},  // a model from files has its own sizes
      {"rollout.first_split_max=4"},
      {"rollout.first_split_max=9", "rollout.sequential=true"},
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
      {"objective.importance_cap=1", "update.recompute_old_logprobs=true"},
      {"train.queries_per_step=4"},
      {"train.max_steps=0"},
      {"reward.kind=numeric"},
      {"data.kind=jsonl", "data.train=f", "model.path=m", "train.epochs=0.5"},
  };
  for (const auto& arguments : cases) EXPECT_EQ(training_error(arguments), kNone) << arguments[0];
}

}  // namespace
}  // namespace treepo
