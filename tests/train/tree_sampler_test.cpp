#include "train/tree_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "hand_made_verifier.h"
#include "support/expect_error.h"
#include "tiny_model.h"
#include "train/model_setup.h"
#include "train/sample_trees.h"
#include "train/tree_record.h"

namespace treepo {
namespace {

using testing::HasSubstr;

RunOptions small_trees() {
  RunOptions options;
  options.model.dtype = "float64";
  options.model.hidden_size = 32;
  options.model.initializer_range = 0.3;
  options.model.max_positions = 64;
  options.rollout = {.width = 5, .depth = 3, .segment_tokens = 4};
  options.train.seed = 3;
  return options;
}

std::vector<TrainingQuery> queries_of(const std::vector<std::string>& prompts,
                                      const Tokenizer& tokenizer) {
  std::vector<Problem> problems;
  for (const std::string& prompt : prompts) problems.push_back(problem_of("p" + prompt, prompt));
  return make_training_queries(problems, tokenizer);
}

// The lines of `treepo sample` are those of the sampler's trees.
TEST(TreeSampler, SamplesTheTreesThatTheProgramDoes) {
  const TinyModel tiny;
  RunOptions options = small_trees();
  options.model.path = tiny.directory.path();
  TreeSampler sampler(options, "");
  const std::vector<TrainingQuery> queries = queries_of({"1+", "2*3="}, sampler.text().tokenizer);
  std::vector<std::string> lines, expected;
  for (size_t i = 0; const SearchTree& tree : sampler.sample(queries))
    lines.push_back(dump_json(unscored_record(queries[i++], tree, sampler.text())));
  LoadedModel model = load_model_directory(options.model);
  sample_trees(model, options, queries, false,
               [&](const std::string& line) { expected.push_back(line); });
  EXPECT_EQ(lines, expected);
}

TEST(TreeSampler, MakesAFreshModelWhereNoneIsNamed) {
  const TemporaryDirectory directory;
  TreeSampler sampler(small_trees(), directory / "tokenizer");
  const std::vector<TrainingQuery> queries = queries_of({"8+5:"}, sampler.text().tokenizer);
  const SearchTree tree = sampler.sample(queries).front();
  EXPECT_EQ(tree.leaves().size(), 5u);
  EXPECT_TRUE(std::ranges::equal(tree.prompt(), queries[0].prompt));
  EXPECT_EQ(sampler.engine().stats().trees, 1);
}

TEST(TreeSampler, SeesWhatAnUpdateDoesToTheWeights) {
  const TinyModel tiny;
  RunOptions options = small_trees();
  options.model.path = tiny.directory.path();
  LoadedModel model = load_model_directory(options.model);
  TreeSampler sampler(model, options, Purpose::train);
  const std::vector<TrainingQuery> queries = queries_of({"1+"}, model.tokenizer);
  const SearchTree before = sampler.sample(queries).front();
  model.decoder.parameters().values().mul_(0.5);
  const SearchTree after = sampler.sample(queries).front();
  EXPECT_NE(before.response_logprobs(before.leaves()[0]),
            after.response_logprobs(after.leaves()[0]));
}

TEST(TreeSampler, NamesAPromptThatDoesNotFit) {
  const TemporaryDirectory directory;
  TreeSampler sampler(small_trees(), directory / "tokenizer");
  const std::vector<TrainingQuery> queries =
      queries_of({std::string(60, '7')}, sampler.text().tokenizer);
  EXPECT_THAT(error_of([&] { sampler.sample(queries); }),
              HasSubstr("a prompt of 60 tokens and a response of up to 12 exceed the model's "
                        "context of 64"));
  RunOptions options = small_trees();
  options.rollout.depth = 100;
  EXPECT_THAT(error_of([&] { TreeSampler(options, directory / "tokenizer"); }),
              HasSubstr("the longest response leaves no room for a prompt"));
}

}  // namespace
}  // namespace treepo
