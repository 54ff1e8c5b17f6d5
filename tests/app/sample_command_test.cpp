#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "app/command_line.h"
#include "app/tiny_run.h"
#include "base/json.h"
#include "support/assets.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

const std::string kPrompts =
    "{\"prompt\": \"8+5+4-8+3*6:\"}\n"
    "{\"prompt\": \"2*2:\", \"id\": \"two\", \"answer\": \"4\"}\n"
    "{\"ids\": [4, 13, 4, 18], \"id\": 7}\n";

Words sample(const TinyModelDirectory& model, const Words& settings = {}) {
  return Words{"sample", "--model", model.path(), "--prompts", "-", "--quiet"} +
         sets(Words{"rollout.width=6", "rollout.depth=4", "rollout.segment_tokens=5"} + settings);
}

std::vector<Json> trees_of(const ProgramResult& result) {
  EXPECT_EQ(result.code, kExitSuccess) << result.err;
  std::vector<Json> trees;
  for (const std::string& line : lines_of(result.out)) trees.push_back(Json::parse(line));
  return trees;
}

std::set<std::string> keys_of(const Json& object) {
  std::set<std::string> keys;
  for (const auto& item : object.items()) keys.insert(item.key());
  return keys;
}

bool is_subset(const std::set<std::string>& some, const std::set<std::string>& all) {
  return std::includes(all.begin(), all.end(), some.begin(), some.end());
}

// Tokens along the path of a leaf; each node continues the first "parent_used_tokens" of its
// parent.
std::vector<int> path_tokens(const Json& tree, const Json& leaf) {
  std::vector<int> tokens;
  for (const Json& id : leaf["path"]) {
    const Json& node = tree["nodes"][id.get<size_t>()];
    if (node.contains("parent_used_tokens")) {
      const size_t whole = tree["nodes"][node["parent"].get<size_t>()]["tokens"].size();
      tokens.resize(tokens.size() - whole + node["parent_used_tokens"].get<size_t>());
    }
    for (const Json& token : node["tokens"]) tokens.push_back(token.get<int>());
  }
  return tokens;
}

void check_tree(const Json& tree) {
  EXPECT_EQ(keys_of(tree), (std::set<std::string>{"query_id", "prompt", "nodes", "leaves"}));
  for (size_t i = 0; i < tree["nodes"].size(); ++i) {
    const Json& node = tree["nodes"][i];
    EXPECT_EQ(node["id"], i);
    const size_t tokens = node["tokens"].size();
    if (i == 0) {
      EXPECT_EQ(node["parent"], -1);
      EXPECT_EQ(tokens, 0u);
      continue;
    }
    EXPECT_TRUE(is_subset(keys_of(node),
                          {"id", "parent", "tokens", "parent_used_tokens", "logprobs", "entropies",
                           "stop", "discarded", "text", "token_texts", "fallback"}));
    EXPECT_EQ(node["token_texts"].size(), tokens);
    EXPECT_LT(node["parent"], i);
    EXPECT_GE(tokens, 1u);
    EXPECT_LE(tokens, 5u);
    ASSERT_EQ(node["logprobs"].size(), tokens);
    ASSERT_EQ(node["entropies"].size(), tokens);
    for (const Json& logprob : node["logprobs"]) EXPECT_LE(logprob.get<double>(), 0);
    for (const Json& entropy : node["entropies"]) {
      EXPECT_GE(entropy.get<double>(), 0);
      EXPECT_LE(entropy.get<double>(), std::log(24) + 1e-6);  // uniform over 24 tokens
    }
    EXPECT_TRUE(node["text"].is_string());
  }
  EXPECT_EQ(tree["leaves"].size(), 6u);
  for (const Json& leaf : tree["leaves"]) {
    EXPECT_EQ(keys_of(leaf), (std::set<std::string>{"path", "end", "num_tokens", "text"}));
    EXPECT_EQ(leaf["path"][0], 0);
    for (size_t i = 1; i < leaf["path"].size(); ++i) {
      EXPECT_EQ(tree["nodes"][leaf["path"][i].get<size_t>()]["parent"], leaf["path"][i - 1]);
    }
    EXPECT_EQ(tree["nodes"][leaf["path"].back().get<size_t>()]["stop"], leaf["end"]);
    EXPECT_EQ(leaf["num_tokens"], path_tokens(tree, leaf).size());
  }
}

// Issue form: query, nodes and leaves as in the oracles' case.json, with ids, texts and log-probs.
TEST(SampleCommand, WritesOneTreeALine) {
  const TinyModelDirectory model;
  const std::vector<Json> trees = trees_of(run_program(sample(model), kPrompts));
  ASSERT_EQ(trees.size(), 3u);
  for (const Json& tree : trees) check_tree(tree);
  EXPECT_EQ(trees[0]["query_id"], "1");
  EXPECT_EQ(trees[1]["query_id"], "two");
  EXPECT_EQ(trees[2]["query_id"], "7");
  EXPECT_EQ(trees[0]["prompt"], Json({11, 13, 8, 13, 7, 14, 11, 13, 6, 15, 9, 18}));
  EXPECT_EQ(trees[2]["prompt"], Json({4, 13, 4, 18}));

  // A trajectory's text is what the tokenizer makes of its tokens, up to the end of sequence (1).
  std::string ids, texts;
  for (const Json& tree : trees) {
    for (const Json& leaf : tree["leaves"]) {
      std::vector<int> tokens = path_tokens(tree, leaf);
      EXPECT_EQ(leaf["end"] == "eos", tokens.back() == 1);
      if (leaf["end"] == "eos") tokens.pop_back();
      ids += Json{{"ids", tokens}}.dump() + "\n";
      texts += Json{{"text", leaf["text"]}}.dump() + "\n";
    }
  }
  EXPECT_EQ(run_program({"tokenize", "--model", model.path(), "--decode", "--special"}, ids).out,
            texts);
}

TEST(SampleCommand, AFileGetsWhatStandardOutputGets) {
  const TinyModelDirectory model;
  const std::string expected = run_program(sample(model), kPrompts).out;
  const Words without = sample(model), dash = without + Words{"--out", "-"};
  EXPECT_EQ(run_program(dash, kPrompts).out, expected);

  const std::string file = model / "trees.jsonl";
  const ProgramResult result = run_program(without + Words{"--out", file}, kPrompts);
  EXPECT_EQ(result.code, kExitSuccess) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(read_text(file), expected);
  EXPECT_FALSE(std::filesystem::exists(file + ".tmp"));

  write_text(model / "prompts", kPrompts);
  Words from_file = without;
  from_file[4] = model / "prompts";
  EXPECT_EQ(run_program(from_file).out, expected);
}

// `treepo sample … >> trees.jsonl` leaves what the file held.
TEST(SampleCommand, StandardOutputIsAppendedTo) {
  const TinyModelDirectory model;
  const std::string expected = run_program(sample(model), kPrompts).out;
  const std::string file = model / "trees.jsonl";
  write_text(file, "first\n");
  RunningProgram(sample(model), kPrompts, file, O_APPEND).wait();
  EXPECT_EQ(read_text(file), "first\n" + expected);
}

TEST(SampleCommand, ALinkStaysALink) {
  const TinyModelDirectory model;
  const std::string link = model / "link", target = model / "target";
  std::filesystem::create_symlink("target", link);
  EXPECT_EQ(run_program(sample(model) + Words{"--out", link}, kPrompts).code, kExitSuccess);
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(read_text(target), run_program(sample(model), kPrompts).out);
}

TEST(SampleCommand, TheSummaryIsOnStandardError) {
  const TinyModelDirectory model;
  Words loud = sample(model);
  std::erase(loud, "--quiet");
  EXPECT_THAT(run_program(loud, kPrompts).err, HasSubstr("3 trees, 18 trajectories"));
  EXPECT_EQ(run_program(sample(model), kPrompts).err, "");
}

TEST(SampleCommand, RewardsJudgeEachTrajectory) {
  const TinyModelDirectory model;
  const std::string prompt = "{\"prompt\": \"2*2:\", \"answer\": \"4\"}\n";
  const auto trees = trees_of(run_program(sample(model) + Words{"--reward", "exact"}, prompt));
  ASSERT_EQ(trees.size(), 1u);
  EXPECT_EQ(trees[0]["answer"], "4");
  EXPECT_EQ(trees[0]["prompt_text"], "2*2:");
  for (const Json& leaf : trees[0]["leaves"]) {
    EXPECT_EQ(leaf["reward"], leaf["text"] == "4" ? 1.0 : 0.0);
    EXPECT_TRUE(leaf["reason"].is_string());
  }
  const ProgramResult none =
      run_program(sample(model) + Words{"--reward", "exact"}, "{\"prompt\": \"2*2:\"}\n");
  EXPECT_EQ(none.code, kExitError);
  EXPECT_THAT(none.err, AllOf(HasSubstr("line 1"), HasSubstr("answer")));
}

TEST(SampleCommand, WidthOneAndDepthOne) {
  const TinyModelDirectory model;
  const auto narrow = trees_of(run_program(
      sample(model, {"rollout.width=1", "rollout.first_split_min=1", "rollout.first_split_max=1"}),
      kPrompts));
  for (const Json& tree : narrow) EXPECT_EQ(tree["leaves"].size(), 1u);
  const auto flat = trees_of(run_program(sample(model, {"rollout.depth=1"}), kPrompts));
  for (const Json& tree : flat) {
    EXPECT_EQ(tree["leaves"].size(), 6u);
    for (const Json& node : tree["nodes"]) EXPECT_LE(node["parent"], 0);
  }
}

TEST(SampleCommand, ASegmentMayBeLongerThanTheResponse) {
  const TinyModelDirectory model;
  const auto trees = trees_of(run_program(
      sample(model, {"rollout.segment_tokens=50", "stop.response_tokens=3"}), kPrompts));
  ASSERT_EQ(trees.size(), 3u);
  for (const Json& tree : trees) {
    for (const Json& leaf : tree["leaves"]) EXPECT_LE(leaf["num_tokens"], 3);
  }
}

// Fractions within 1e-12, all else equal.
void expect_same_but_for_rounding(const Json& one, const Json& other) {
  ASSERT_EQ(one.is_number_float(), other.is_number_float());
  if (one.is_number_float()) {
    EXPECT_NEAR(one.get<double>(), other.get<double>(), 1e-12);
  } else if (one.is_structured() && one.size() == other.size()) {
    for (const auto& item : one.items()) {
      const Json& twin = one.is_object() ? other.at(item.key()) : other[std::stoul(item.key())];
      expect_same_but_for_rounding(item.value(), twin);
    }
  } else {
    EXPECT_EQ(one, other);
  }
}

// More rows at once, other pages, fewer tokens in a step: scheduling, not sampling. Only the last
// bits of log-probs change, as matrix products of other shapes round differently.
TEST(SampleCommand, TreesDoNotDependOnTheEngine) {
  const TinyModelDirectory model;
  std::vector<Words> commands;
  for (const Words& engine : {Words{},
                              {"engine.max_rows=1"},
                              {"engine.max_rows=2", "engine.max_step_tokens=2"},
                              {"engine.page_tokens=3", "engine.max_rows=100"}}) {
    commands.push_back(sample(model, engine) + Words{"--dtype", "float64"});
  }
  const std::vector<ProgramResult> results = run_programs(commands, kPrompts);
  const auto expected = trees_of(results[0]);
  ASSERT_EQ(expected.size(), 3u);
  for (const ProgramResult& result : results) {
    const auto trees = trees_of(result);
    ASSERT_EQ(trees.size(), expected.size());
    for (size_t i = 0; i < trees.size(); ++i) {
      expect_same_but_for_rounding(trees[i], expected[i]);
    }
  }
}

TEST(SampleCommand, TheSameCommandGivesTheSameBytes) {
  const TinyModelDirectory model;
  const std::vector<ProgramResult> results =
      run_programs({sample(model), sample(model), sample(model, {"train.seed=2"})}, kPrompts);
  EXPECT_EQ(results[0].code, kExitSuccess);
  EXPECT_EQ(results[1].out, results[0].out);
  EXPECT_NE(results[2].out, results[0].out);
}

TEST(SampleCommand, BadPromptsAreNamedByLine) {
  const TinyModelDirectory model;
  const std::vector<std::pair<std::string, Words>> cases = {
      {"{\"prompt\":\"1:\"}\n{\"prompt\":\n", {"line 2", "not valid JSON"}},
      {"{\"prompt\":\"1:\"}\n{\"prompt\":\"\"}\n", {"line 2", "the prompt is empty"}},
      {"{\"ids\":[]}\n", {"line 1", "\"ids\" is empty"}},
      {"{\"ids\":[3,24]}\n", {"line 1", "token 24", "vocabulary of 24"}},
      {"{\"ids\":[3,-1]}\n", {"line 1", "is -1"}},
      {"{\"prompt\":\"1:\",\"ids\":[3]}\n", {"line 1", "both"}},
      {"{\"text\":\"1:\"}\n", {"line 1", "neither"}},
      {"{\"prompt\":\"" + std::string(120, '1') + "\"}\n", {"line 1", "120", "context of 128"}},
      {"", {"holds no problems"}},
  };
  std::vector<Words> commands;
  for (size_t i = 0; i < cases.size(); ++i) {
    commands.push_back(sample(model) + Words{"--out", model / "trees"});
    commands.back()[4] = fmt::format("{}/prompts{}.jsonl", model.path(), i);
    write_text(commands.back()[4], cases[i].first);
  }
  const std::vector<ProgramResult> results = run_programs(commands);
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto& [prompts, messages] = cases[i];
    EXPECT_EQ(results[i].code, kExitError) << prompts;
    EXPECT_THAT(results[i].err, HasSubstr(commands[i][4]));
    for (const std::string& message : messages) EXPECT_THAT(results[i].err, HasSubstr(message));
  }
  EXPECT_FALSE(std::filesystem::exists(model / "trees"));
}

TEST(SampleCommand, AnEmptyPromptIsEnoughWhereTheTokenizerAddsATokenOfItsOwn) {
  const std::string digits = TREEPO_ASSETS "/models/verl-arith-seq-llama";
  if (!std::filesystem::exists(digits)) GTEST_SKIP() << no_assets(digits);
  const auto trees = trees_of(
      run_program(Words{"sample", "--model", digits, "--prompts", "-", "--quiet"} +
                      sets({"rollout.width=2", "rollout.depth=2", "rollout.segment_tokens=3"}),
                  "{\"prompt\":\"\"}\n"));
  ASSERT_EQ(trees.size(), 1u);
  EXPECT_EQ(trees[0]["prompt"], Json({0}));
}

// Weights of tied embeddings may lie under the name of either.
TEST(SampleCommand, TheTrainedStoryModelTellsAStory) {
  const std::string stories = TREEPO_ASSETS "/models/tinystories-656k";
  if (!std::filesystem::exists(stories)) GTEST_SKIP() << no_assets(stories);
  const auto trees =
      trees_of(run_program(Words{"sample", "--model", stories, "--prompts", "-", "--quiet"} +
                               sets({"rollout.width=2", "rollout.depth=1",
                                     "rollout.segment_tokens=8", "sampling.temperature=0.01"}),
                           "{\"prompt\":\"Once upon a time, there was a little\"}\n"));
  ASSERT_EQ(trees.size(), 1u);
  // English words with sure steps, not the noise of weights that were not found.
  for (const Json& logprob : trees[0]["nodes"][1]["logprobs"]) EXPECT_GT(logprob, -1);
  EXPECT_THAT(trees[0]["leaves"][0]["text"].get<std::string>(), StartsWith(". The "));
}

TEST(SampleCommand, PlacesThatCannotBeWrittenAreNamed) {
  const TinyModelDirectory model;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"/dev/full", "No space left on device"},
      {model / "no/such/folder", "No such file or directory"},
      {model.path(), "Is a directory"},
  };
  for (const auto& [path, message] : cases) {
    const ProgramResult result = run_program(sample(model) + Words{"--out", path}, kPrompts);
    EXPECT_EQ(result.code, kExitError) << path;
    EXPECT_THAT(result.err, AllOf(HasSubstr(path), HasSubstr(message)));
  }
  // Neither of them was replaced by a file.
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
  EXPECT_EQ(run_program(sample(model) + Words{"--out", "/dev/null"}, kPrompts).code, kExitSuccess);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));

  const ProgramResult full = RunningProgram(sample(model), kPrompts, "/dev/full").wait();
  EXPECT_EQ(full.code, kExitError);
  EXPECT_THAT(full.err, HasSubstr("standard output can't be written"));
}

// The weights are gone: what is wrong with options and prompts comes to light before they are read.
TEST(SampleCommand, ContradictionsAreFoundBeforeWeightsAreRead) {
  const TinyModelDirectory model;
  std::filesystem::remove(model / "model.safetensors");
  const std::vector<std::pair<Words, Words>> cases = {
      {{"rollout.first_split_max=9"}, {"rollout.first_split_max = 9", "rollout.width = "}},
      {{"rollout.limit=tokens", "rollout.token_budget=1"},
       {"rollout.token_budget = 1", "rollout.segment_tokens = "}},
      {{"rollout.budget=tokens_per_step", "rollout.tokens_per_step=1"},
       {"rollout.tokens_per_step = 1", "rollout.segment_tokens = "}},
      {{"rollout.budget=tokens_per_step", "rollout.tokens_per_step=12"},
       {"rollout.tokens_per_step = 12", "queries sampled together = 3"}},
      {{"rollout.divergence=low_value"}, {"rollout.divergence", "--reward"}},
      {{"rollout.fallback_from=long_answers"}, {"rollout.fallback_from", "stop.answer = none"}},
      {{"sampling.temperature=-1"}, {"sampling.temperature must be"}},
      {{"sampling.temperature=0"}, {"sampling.temperature must be"}},
      {{"sampling.top_p=0"}, {"sampling.top_p must be"}},
      {{"sampling.top_p=1.5"}, {"sampling.top_p must be"}},
      {{"sampling.top_k=-1"}, {"sampling.top_k must be"}},
      {{"sampling.min_p=2"}, {"sampling.min_p must be"}},
      {{"engine.max_rows=64", "engine.max_step_tokens=32"},
       {"engine.max_rows = 64", "engine.max_step_tokens = 32"}},
      {{"rollout.depth=64"}, {"context of 128", "rollout.depth = 64", "rollout.segment_tokens = "}},
      {{"stop.response_tokens=126", "rollout.depth=64"}, {"context of 128", "line 1"}}};
  std::vector<Words> commands;
  for (const auto& [settings, messages] : cases) commands.push_back(sample(model, settings));
  const std::vector<ProgramResult> results = run_programs(commands, kPrompts);
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(results[i].code, kExitError) << i;
    for (const std::string& message : cases[i].second)
      EXPECT_THAT(results[i].err, HasSubstr(message)) << i;
  }
}

TEST(SampleCommand, CheckedDevicesGiveTheSameTrees) {
  const TinyModelDirectory model;
  const std::vector<ProgramResult> results =
      run_programs({sample(model), sample(model) + Words{"--device", "checked"}}, kPrompts);
  ASSERT_EQ(results[1].code, kExitSuccess) << results[1].err;
  EXPECT_EQ(results[1].out, results[0].out);
}

TEST(SampleCommand, SettingsAreChecked) {
  const TinyModelDirectory model;
  const std::vector<std::pair<Words, std::string>> cases = {
      {{"--set", "rollout.widht=3"}, "did you mean rollout.width?"},
      {{"--set", "rollout.width"}, "no value"},
      {{"--set", "rollout.width=0"}, "must be 1 or more"},
      {{"--set", "rollout.width=many"}, "must be an integer"},
      {{"--set", "rollout.width=1"}, "rollout.first_split_max must not exceed rollout.width"},
      {{"--dtype", "int8"}, "must be one of float32, float64, bfloat16, float16"},
      {{"--device", "abacus"}, "cpu, cuda, cuda:N"},
      {{"--reward", "taste"}, "must be one of math, exact, numeric"},
  };
  std::vector<Words> commands;
  for (const auto& [arguments, message] : cases) commands.push_back(sample(model) + arguments);
  const std::vector<ProgramResult> results = run_programs(commands);
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(results[i].code, kExitError) << cases[i].second;
    EXPECT_EQ(results[i].out, "");
    EXPECT_THAT(results[i].err, HasSubstr(cases[i].second));
  }
  const ProgramResult no_model = run_program({"sample", "--prompts", "-"}, kPrompts);
  EXPECT_EQ(no_model.code, kExitError);
  EXPECT_THAT(no_model.err, HasSubstr("--model DIR"));
}

}  // namespace
}  // namespace treepo
