#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/command_line.h"
#include "app/tiny_run.h"
#include "base/json.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const Words kPlan =
    Words{"plan", "--random-model", "quickstart", "--queries", "8", "--prompt-tokens", "12"} +
    sets({"rollout.depth=4", "rollout.segment_tokens=16", "rollout.width=8"});

TEST(PlanCommand, SaysWhatFitsAndWhatLimits) {
  const std::vector<ProgramResult> results = run_programs(
      {kPlan, kPlan + sets({"engine.max_rows=16"}),
       kPlan + sets({"model.dtype=float64", "engine.page_tokens=4096", "engine.cache_mib=120"}),
       kPlan + sets({"engine.page_tokens=4096", "engine.cache_mib=1"}),
       kPlan + Words{"--memory-gib", "0.001"},
       kPlan + Words{"--device", "cuda"} + sets({"objective.kl_beta=0.1"})});
  for (const ProgramResult& result : results) ASSERT_EQ(result.code, kExitSuccess) << result.err;
  EXPECT_THAT(results[0].out,
              AllOf(HasSubstr("sampling: 8 queries, prompts of up to 12 tokens, responses of up to "
                              "64, width 8"),
                    HasSubstr("307,104 parameters"),
                    HasSubstr("trees at once where all have 8 paths: 8; all"),
                    HasSubstr("sampling fits: "), HasSubstr("training fits: ")));
  EXPECT_THAT(results[1].out, AllOf(HasSubstr("have 8 paths: 2; engine.max_rows decides"),
                                    HasSubstr("trees that begin together: 8\n")));
  EXPECT_THAT(results[2].out,
              AllOf(HasSubstr("holds one path, but not a whole tree"), HasSubstr("prefilled again"),
                    HasSubstr("engine.cache_mib decides")));
  EXPECT_THAT(results[3].out,
              AllOf(HasSubstr("sampling would refuse to start"), HasSubstr("engine.cache_mib = ")));
  EXPECT_THAT(results[4].out,
              AllOf(HasSubstr("sampling does not fit"), HasSubstr("training does not fit")));
  EXPECT_THAT(results[5].out, AllOf(HasSubstr("reference model"), HasSubstr("--memory-gib"),
                                    Not(HasSubstr("fits: "))));
}

TEST(PlanCommand, WritesJson) {
  const ProgramResult result = run_program(kPlan + Words{"--json", "--memory-gib", "2"});
  ASSERT_EQ(result.code, kExitSuccess) << result.err;
  const Json plan = Json::parse(result.out);
  EXPECT_EQ(plan["parameters"], 307104);
  EXPECT_EQ(plan["path_pages"], 1 + 4);
  EXPECT_EQ(plan["tree_pages"], 1 + 8 * 4);
  EXPECT_EQ(plan["key_value_bytes_per_token"], 2 * 3 * 48 * 4);
  EXPECT_EQ(plan["can_sample"], true);
  EXPECT_EQ(plan["available_bytes"], int64_t{2} << 30);
  EXPECT_GT(plan["training_bytes"], plan["sampling_bytes"]);
}

// Prompts of a file decide the lengths, and nothing but config.json and the tokenizer is read.
TEST(PlanCommand, ReadsPromptsButNoWeights) {
  const TinyModelDirectory model;
  const TemporaryDirectory folder;
  write_text(folder / "prompts.jsonl", "{\"ids\": [3, 4, 5, 6, 7]}\n{\"ids\": [3]}\n");
  for (const auto& file : std::filesystem::directory_iterator(model.path()))
    if (file.path().extension() == ".safetensors") std::filesystem::remove(file.path());
  const ProgramResult result = run_program(
      Words{"plan", "--model", model.path(), "--prompts", folder / "prompts.jsonl", "--json"} +
      sets({"rollout.depth=2", "rollout.segment_tokens=8"}));
  ASSERT_EQ(result.code, kExitSuccess) << result.err;
  const Json plan = Json::parse(result.out);
  EXPECT_EQ(plan["num_queries"], 2);
  EXPECT_EQ(plan["prompt_tokens"], 5);
}

// Queries and prompts are those of the configuration's training, unless flags say otherwise.
TEST(PlanCommand, AConfigurationSaysWhatIsSampled) {
  const TinyModelDirectory model;
  const TemporaryDirectory folder;
  write_text(folder / "train.jsonl",
             "{\"ids\": [3, 4, 5, 6, 7], \"answer\": \"1\"}\n{\"ids\": [3], \"answer\": \"1\"}\n");
  write_text(folder / "run.toml", "[data]\ntrain = [\"" + (folder / "train.jsonl") +
                                      "\"]\n[rollout]\ndepth = 2\nsegment_tokens = 8\n"
                                      "[train]\nqueries_per_step = 12\n");
  write_text(folder / "carry.toml",
             "[data]\nkind = \"carry\"\n[rollout]\ndepth = 2\nsegment_tokens = 8\n");
  const Words plan = {"plan", "--config", folder / "run.toml", "--json", "--model", model.path()};
  const std::vector<ProgramResult> results =
      run_programs({plan,
                    plan + sets({"data.max_prompt_tokens=3"}),
                    plan + Words{"--queries", "7", "--prompt-tokens", "20"},
                    plan + sets({"rollout.depth=600"}),
                    {"plan", "--config", folder / "run.toml", "--random-model", "quickstart"},
                    {"plan", "--config", folder / "carry.toml", "--json"}});
  const auto queries_and_prompt = [&](size_t i) {
    EXPECT_EQ(results[i].code, kExitSuccess) << results[i].err;
    const Json found = Json::parse(results[i].out);
    return std::pair<int, int>(found["num_queries"], found["prompt_tokens"]);
  };
  EXPECT_EQ(queries_and_prompt(0), std::pair(12, 5));
  EXPECT_EQ(queries_and_prompt(1), std::pair(12, 3));
  EXPECT_EQ(queries_and_prompt(2), std::pair(7, 20));
  EXPECT_EQ(results[3].code, kExitError);
  EXPECT_EQ(results[4].code, kExitError);
  EXPECT_THAT(results[4].err, AllOf(HasSubstr("tokenizer"), HasSubstr("--prompt-tokens")));
  EXPECT_EQ(queries_and_prompt(5).first, 16);
  EXPECT_GT(queries_and_prompt(5).second, 8);
}

// A model with random weights has no tokenizer, but ids need none.
TEST(PlanCommand, ARandomModelTakesIds) {
  const TemporaryDirectory folder;
  write_text(folder / "ids.jsonl", "{\"ids\": [3, 4, 5]}\n{\"ids\": [3]}\n");
  write_text(folder / "text.jsonl", "{\"prompt\": \"one\"}\n");
  const Words plan = {"plan", "--random-model", "quickstart", "--json"};
  const Words shape = sets({"rollout.depth=2", "rollout.segment_tokens=8"});
  const std::vector<ProgramResult> results =
      run_programs({plan + Words{"--prompts", folder / "ids.jsonl"} + shape,
                    plan + Words{"--prompts", folder / "text.jsonl"} + shape});
  ASSERT_EQ(results[0].code, kExitSuccess) << results[0].err;
  EXPECT_EQ(Json::parse(results[0].out)["prompt_tokens"], 3);
  EXPECT_EQ(results[1].code, kExitError);
  EXPECT_THAT(results[1].err, AllOf(HasSubstr("line 1"), HasSubstr("\"ids\"")));
}

TEST(PlanCommand, WrongSettingsAreErrors) {
  const std::vector<ProgramResult> results = run_programs(
      {{"plan"}, kPlan + sets({"rollout.depth=64"}), kPlan + Words{"--memory-gib", "-1"}});
  EXPECT_EQ(results[0].code, kExitUsage);
  EXPECT_EQ(results[1].code, kExitError);
  EXPECT_THAT(results[1].err, AllOf(HasSubstr("context of 512"), HasSubstr("rollout.depth = 64")));
  EXPECT_EQ(results[2].code, kExitUsage);
}

}  // namespace
}  // namespace treepo
