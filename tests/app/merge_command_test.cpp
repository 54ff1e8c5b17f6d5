#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "app/command_line.h"
#include "app/tiny_run.h"
#include "base/json.h"

namespace treepo {
namespace {

using testing::HasSubstr;

// A model, and an adapter that a few steps of supervised training have moved.
struct Trained {
  TinyModelDirectory model;
  std::string adapter = model / "run/checkpoints/step-000020";

  Trained() {
    write_text(model / "train.jsonl", "{\"prompt\": \"1+1=\", \"response\": \"2!\"}\n");
    const ProgramResult result = run_program(
        Words{"sft", TREEPO_SOURCE_DIR "/configs/sft.toml", "--model", model.path(), "--quiet"} +
        sets({"model.dtype=float32", "lora.rank=4", "train.epochs=0", "train.max_steps=20",
              "sft.batch=1", "optimizer.learning_rate=3e-2", "train.run_dir=" + (model / "run"),
              "sft.train=" + (model / "train.jsonl")}));
    EXPECT_EQ(result.code, 0) << result.err;
  }
};

std::vector<Json> sampled_nodes(const std::string& model, const std::string& prompts) {
  const ProgramResult result =
      run_program(Words{"sample", "--model", model, "--prompts", prompts, "--out", "-", "--quiet"} +
                  sets({"rollout.width=8", "rollout.depth=3", "rollout.segment_tokens=4"}));
  EXPECT_EQ(result.code, 0) << result.err;
  std::vector<Json> nodes;
  for (const std::string& line : lines_of(result.out)) {
    const Json tree = Json::parse(line);
    for (const Json& node : tree["nodes"]) nodes.push_back(node["tokens"]);
  }
  return nodes;
}

TEST(MergeCommand, TheMergedModelSamplesAsTheAdapterDoes) {
  const Trained trained;
  const std::string merged = trained.model / "merged", prompts = trained.model / "prompts.jsonl";
  const ProgramResult result =
      run_program({"merge", "--adapter", trained.adapter, "--out", merged});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr(merged + " written as float32"));
  write_text(prompts, "{\"prompt\": \"1+1=\"}\n{\"prompt\": \"7*8:\"}\n");
  const std::vector<Json> by_adapter = sampled_nodes(trained.adapter, prompts);
  EXPECT_FALSE(by_adapter.empty());
  EXPECT_EQ(sampled_nodes(merged, prompts), by_adapter);
  EXPECT_NE(sampled_nodes(trained.model.path(), prompts), by_adapter);

  const ProgramResult again = run_program({"merge", "--adapter", trained.adapter, "--out", merged});
  EXPECT_EQ(again.code, kExitError);
  EXPECT_THAT(again.err, HasSubstr("holds a model already"));
  const ProgramResult half =
      run_program({"merge", "--adapter", trained.adapter, "--model", trained.model.path(), "--out",
                   trained.model / "half", "--dtype", "bfloat16"});
  EXPECT_EQ(half.code, 0) << half.err;
  EXPECT_THAT(read_text(trained.model / "half/config.json"), HasSubstr("bfloat16"));
}

// The base's shape and tokenizer, the adapter's weights on top.
TEST(AdapterDirectory, IsPlannedAndMeasured) {
  const Trained trained;
  const std::string prompts = trained.model / "prompts.jsonl";
  write_text(prompts, "{\"prompt\": \"1+1=\", \"answer\": \"2!\"}\n");
  const Words shape = sets({"rollout.width=4", "rollout.depth=2", "rollout.segment_tokens=4"});
  const Words rounds = Words{"--rounds", "1", "--json", trained.model / "bench.jsonl", "--quiet"};
  for (const std::string& model : {trained.adapter, trained.model.path()}) {
    const std::vector<ProgramResult> results = run_programs(
        {Words{"plan", "--model", model, "--prompts", prompts, "--json"} + shape,
         Words{"bench", "sample", "--model", model, "--prompts", prompts} + rounds + shape});
    for (const ProgramResult& result : results) ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(Json::parse(results[0].out)["prompt_tokens"], 4);
  }
}

TEST(MergeCommand, WhatIsWrongIsNamed) {
  const Trained trained;
  const ProgramResult no_adapter =
      run_program({"merge", "--adapter", trained.model.path(), "--out", trained.model / "out"});
  EXPECT_EQ(no_adapter.code, kExitError);
  EXPECT_THAT(no_adapter.err, HasSubstr("adapter_config.json"));
  EXPECT_EQ(run_program({"merge", "--adapter", trained.adapter}).code, kExitUsage);
  EXPECT_FALSE(std::filesystem::exists(trained.model / "out"));
}

}  // namespace
}  // namespace treepo
