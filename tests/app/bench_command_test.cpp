#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/command_line.h"
#include "app/tiny_run.h"
#include "base/json.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

TEST(BenchCommand, PrintsATableAndWritesALineForEachCase) {
  const TemporaryDirectory folder;
  const ProgramResult result =
      run_program(Words{"bench",           "sample",
                        "--random-model",  "quickstart",
                        "--queries",       "2",
                        "--rounds",        "1",
                        "--prompt-tokens", "4",
                        "--shapes",        "4x2",
                        "--branching",     "4",
                        "--widths",        "2,8",
                        "--first-splits",  "2-4",
                        "--lock-step",     "--ignore-eos",
                        "--json",          folder / "bench.jsonl",
                        "--plot",          folder / "bench.svg"} +
                  sets({"rollout.width=4", "rollout.depth=2", "rollout.segment_tokens=4"}));
  ASSERT_EQ(result.code, kExitSuccess) << result.err;
  EXPECT_THAT(result.out,
              AllOf(StartsWith("307104 parameters, float32, "), HasSubstr("traj/s"),
                    HasSubstr("\nsequential, w 4 "), HasSubstr("\ntree 2 x 4, w 4 "),
                    HasSubstr("\ntree 4 x 2, w 4 "), HasSubstr("\ntree 2 x 4, w 4, lock step "),
                    HasSubstr(" x the trajectories/s of sequential, w 4"),
                    HasSubstr("unique share by depth, tree 2 x 4, w 4: 1: 50 %")));
  const Words lines = lines_of(read_text(folder / "bench.jsonl"));
  ASSERT_EQ(lines.size(), 2u + 2 + 4 + 1 + 1 + 1);
  for (const std::string& line : lines) {
    const Json one = Json::parse(line);
    EXPECT_EQ(one["trajectories"], 2 * one["width"].get<int64_t>());
    EXPECT_EQ(one["seconds"].size(), 1u);
    EXPECT_GT(one["trajectories_per_s"], 0);
    const bool sequential = one["case"].get<std::string>().starts_with("sequential");
    EXPECT_EQ(one["sequential"], sequential);
    // 4 paths from the start share nothing.
    const bool shares = !sequential && one["width"] != 2 && one["sweep"] != "first_split";
    if (shares) {
      EXPECT_GT(one["sharing"], 1.0) << line;
    }
    if (sequential) {
      EXPECT_EQ(one["sharing"], 1.0);
    }
    EXPECT_EQ(one["machine"]["threads"], 1);
  }
  const std::string svg = read_text(folder / "bench.svg");
  EXPECT_THAT(svg, AllOf(StartsWith("<svg "), HasSubstr("unique share (%)"),
                         HasSubstr("TokenPS (decoded + prefilled)"), HasSubstr("Branching factor"),
                         HasSubstr("First split"), HasSubstr("Depth × segment at one product")));
}

// With a verifier: accuracy beside tokens and seconds, for every width and branching factor.
TEST(BenchCommand, MeasuresAccuracyAgainstCompute) {
  const TinyModelDirectory model;
  const TemporaryDirectory folder;
  write_text(
      folder / "prompts.jsonl",
      "{\"prompt\": \"1+2:\", \"answer\": \"3\"}\n{\"prompt\": \"2+2:\", \"answer\": \"4\"}\n");
  const Words bench =
      Words{"bench",    "sample", "--model", model.path(), "--prompts", folder / "prompts.jsonl",
            "--rounds", "1",      "--quiet"} +
      sets({"rollout.width=4", "rollout.depth=2", "rollout.segment_tokens=4"});
  const ProgramResult result =
      run_program(bench + Words{"--reward", "numeric", "--widths", "2", "--branching", "3",
                                "--json", folder / "bench.jsonl", "--plot", folder / "bench.svg"});
  ASSERT_EQ(result.code, kExitSuccess) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("avg@w"), HasSubstr("maj@w")));
  for (const std::string& line : lines_of(read_text(folder / "bench.jsonl"))) {
    const Json one = Json::parse(line);
    EXPECT_GE(one["maj"]["mean"], 0.0) << line;
    EXPECT_LE(one["avg"]["high"], 1.0) << line;
  }
  EXPECT_THAT(read_text(folder / "bench.svg"), HasSubstr("maj@w, trees by b"));
  const ProgramResult no_answers =
      run_program(bench + Words{"--reward", "numeric"} + sets({"rollout.divergence=high_value"}));
  EXPECT_EQ(no_answers.code, kExitSuccess) << no_answers.err;
}

TEST(BenchCommand, RunsTwoImplementationsSideBySide) {
  const ProgramResult result =
      run_program(Words{"bench", "sample", "--random-model", "quickstart", "--queries", "2",
                        "--rounds", "1", "--prompt-tokens", "4", "--device", "checked"} +
                  sets({"rollout.width=4", "rollout.depth=2", "rollout.segment_tokens=4"}));
  EXPECT_EQ(result.code, kExitSuccess) << result.err;
  EXPECT_THAT(result.err, HasSubstr("checked: "));
}

TEST(BenchCommand, WrongSettingsAreErrors) {
  const Words bench = {"bench", "sample", "--random-model"};
  struct Wrong {
    Words words;
    int code;
    std::vector<std::string> says;
  };
  const std::vector<Wrong> wrong = {
      {bench + Words{"huge"}, kExitError, {"\"huge\"", "quickstart, 89m"}},
      {bench + Words{"quickstart", "--model", "x"},
       kExitUsage,
       {"one of --model and --random-model"}},
      {bench + Words{"quickstart", "--prompts", "x"}, kExitError, {"--model DIR"}},
      {bench + Words{"quickstart", "--shapes", "3x4"} +
           sets({"rollout.segment_tokens=4", "rollout.depth=2"}),
       kExitError,
       {"3x4", "rollout.depth", "= 8"}},
      {bench + Words{"quickstart", "--shapes", "3"} +
           sets({"rollout.segment_tokens=4", "rollout.depth=2"}),
       kExitError,
       {"\"3\"", "14x512"}},
      {bench + Words{"quickstart", "--widths", "1"} +
           sets({"rollout.segment_tokens=4", "rollout.depth=2"}),
       kExitError,
       {"tree 2 x 4, w 1: ", "rollout.first_split_max", "rollout.width = 1"}},
      {bench + Words{"quickstart", "--first-splits", "2-32"} +
           sets({"rollout.segment_tokens=4", "rollout.depth=2"}),
       kExitError,
       {"first 2-32", "rollout.first_split_max = 32"}},
      {bench + Words{"quickstart", "--reward", "exact"}, kExitError, {"--reward", "--prompts"}},
      {bench + Words{"quickstart"} + sets({"stop.answer=boxed", "rollout.depth=1"}),
       kExitError,
       {"stop.answer", "tokenizer"}},
      {bench + Words{"quickstart"} + sets({"rollout.divergence=low_value", "rollout.depth=1"}),
       kExitError,
       {"rollout.divergence", "--reward"}},
      {bench + Words{"quickstart"} + sets({"rollout.depth=2", "rollout.segment_tokens=256"}),
       kExitError,
       {"context of 512", "rollout.depth = 2", "rollout.segment_tokens = 256"}},
      {bench + Words{"quickstart", "--prompt-tokens", "500"} +
           sets({"rollout.depth=2", "rollout.segment_tokens=8"}),
       kExitError,
       {"drawn 0", "500", "context of 512"}}};
  std::vector<Words> commands;
  for (const Wrong& one : wrong) commands.push_back(one.words);
  const std::vector<ProgramResult> results = run_programs(commands);
  for (size_t i = 0; i < wrong.size(); ++i) {
    EXPECT_EQ(results[i].code, wrong[i].code) << i << results[i].err;
    for (const std::string& word : wrong[i].says)
      EXPECT_THAT(results[i].err, HasSubstr(word)) << "case " << i;
  }
}

}  // namespace
}  // namespace treepo
