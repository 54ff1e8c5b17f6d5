#include "train/sample_trees.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "hand_made_verifier.h"
#include "support/expect_error.h"
#include "tiny_model.h"

namespace treepo {
namespace {

using testing::HasSubstr;

struct Sampled {
  Sampled() {
    options.rollout = {.width = 3, .depth = 3, .segment_tokens = 3};
    options.reward.kind = "digits";
    options.engine.max_rows = 5;
    options.train.seed = 2;
    for (const std::string prompt : {"1+", "2*3=", "44444444444444", "5"}) {
      problems.push_back(problem_of("p" + prompt, prompt));
      problems.back().answer = "1";
      problems.back().where = prompt;
    }
  }

  std::vector<Json> run(bool score) {
    LoadedModel loaded{Decoder::load(model.directory.path(), at::kCPU, at::kDouble),
                       Tokenizer::load(model.directory.path()), model.directory.path()};
    std::vector<Json> lines;
    stats =
        sample_trees(loaded, options, make_training_queries(problems, model.tokenizer), score,
                     [&](const std::string& line) { lines.push_back(parse_json(line, "line")); });
    return lines;
  }

  TinyModel model;
  RunOptions options;
  std::vector<Problem> problems;
  RolloutStats stats;
};

TEST(SampleTrees, WritesOneLineForEachQueryInTheirOrder) {
  Sampled sampled;
  const std::vector<Json> lines = sampled.run(false);
  ASSERT_EQ(lines.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(lines[i]["query_id"], sampled.problems[i].id);
    EXPECT_EQ(lines[i]["prompt"], Json(sampled.model.encode(sampled.problems[i].prompt)));
    EXPECT_EQ(lines[i]["leaves"].size(), 3u);
    EXPECT_FALSE(lines[i]["leaves"][0].contains("score"));
  }
  EXPECT_EQ(sampled.stats.trees, 4);
  EXPECT_EQ(sampled.stats.trajectories, 12);
}

TEST(SampleTrees, ScoresWhereAskedTo) {
  Sampled sampled;
  const std::vector<Json> plain = sampled.run(false), scored = sampled.run(true);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(scored[i]["nodes"], plain[i]["nodes"]);
    EXPECT_EQ(scored[i]["answer"], "1");
    for (const Json& leaf : scored[i]["leaves"]) EXPECT_TRUE(leaf["score"].is_number());
  }
  sampled.problems[2].answer.reset();
  EXPECT_THAT(error_of([&] { sampled.run(true); }), HasSubstr("44444444444444"));
  EXPECT_EQ(sampled.run(false).size(), 4u);
}

TEST(SampleTrees, APromptThatDoesNotFitIsNamedBeforeAnythingIsSampled) {
  Sampled sampled;
  sampled.problems[3].prompt = std::string(120, '7');
  sampled.problems[3].where = "prompts.jsonl, line 4";
  EXPECT_THAT(error_of([&] { sampled.run(false); }),
              HasSubstr("prompts.jsonl, line 4: a prompt of 120 tokens and a response of up to 9 "
                        "exceed the model's context of 128"));
}

}  // namespace
}  // namespace treepo
