#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/command_line.h"
#include "app/tiny_run.h"
#include "base/json.h"
#include "evaluate/metrics.h"

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
  const Words shape = sets({"rollout.width=4", "rollout.depth=2", "rollout.segment_tokens=4"});
  const Words bench =
      Words{"bench",    "sample", "--model", model.path(), "--prompts", folder / "prompts.jsonl",
            "--rounds", "1",      "--quiet"} +
      shape;
  write_text(folder / "judge.py",
             "def judge(prompt, response, row):\n"
             "    return {'score': float(len(set(response)) % 2 == 0), 'answer': response[:1]}\n");
  const std::string judge = "python:" + folder / "judge.py" + ":judge";
  const ProgramResult result = run_program(
      bench + Words{"--reward", judge, "--widths", "2", "--branching", "3", "--first-splits", "3",
                    "--json", folder / "bench.jsonl", "--plot", folder / "bench.svg"});
  ASSERT_EQ(result.code, kExitSuccess) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("avg@w"), HasSubstr("maj@w")));
  const Words lines = lines_of(read_text(folder / "bench.jsonl"));
  ASSERT_EQ(lines.size(), 2u + 2 + 1 + 1);
  // `treepo sample` draws the same trees for the same settings and says how each was judged.
  std::vector<double> averages;
  for (const std::string& line : lines) {
    const Json one = Json::parse(line);
    const ProgramResult trees = run_program(
        Words{"sample", "--model", model.path(), "--prompts", folder / "prompts.jsonl", "--reward",
              judge, "--quiet"} +
        shape +
        sets({fmt::format("rollout.width={}", one["width"].get<int>()),
              fmt::format("rollout.branching_factor={}", one["branching_factor"].get<int>()),
              fmt::format("rollout.first_split_min={}", one["first_split"][0].get<int>()),
              fmt::format("rollout.first_split_max={}", one["first_split"][1].get<int>()),
              fmt::format("rollout.sequential={}", one["sequential"].get<bool>())}));
    ASSERT_EQ(trees.code, kExitSuccess) << trees.err;
    double average = 0, majority = 0;
    for (const std::string& text : lines_of(trees.out)) {
      Samples samples;
      const Json tree = Json::parse(text);
      for (const Json& leaf : tree["leaves"])
        samples.push_back({.score = 0,
                           .correct = leaf["score"] == 1.0,
                           .answer = leaf["text"].get<std::string>().substr(0, 1)});
      average += mean_correct(samples) / 2;
      majority += majority_correct(samples) / 2;
    }
    EXPECT_DOUBLE_EQ(one["avg"]["mean"], average) << line;
    EXPECT_DOUBLE_EQ(one["maj"]["mean"], majority) << line;
    averages.push_back(average);
  }
  EXPECT_GT(*std::ranges::max_element(averages), *std::ranges::min_element(averages));
  EXPECT_THAT(read_text(folder / "bench.svg"),
              AllOf(HasSubstr("maj@w, trees by b"), HasSubstr("maj@w, trees by first split")));
  const ProgramResult no_answers =
      run_program(bench + Words{"--reward", "numeric"} + sets({"rollout.divergence=high_value"}));
  EXPECT_EQ(no_answers.code, kExitSuccess) << no_answers.err;
}

// What it takes to measure the memory's bandwidth, 256 MiB, does not count as the cases' memory.
TEST(BenchCommand, PeakMemoryIsThatOfTheCases) {
  const TemporaryDirectory folder;
  RunningProgram program(Words{"bench", "sample", "--random-model", "quickstart", "--queries", "2",
                               "--rounds", "1", "--prompt-tokens", "4", "--json",
                               folder / "bench.jsonl"} +
                         sets({"rollout.width=4", "rollout.depth=2", "rollout.segment_tokens=4"}));
  const ProgramResult result = program.wait();
  ASSERT_EQ(result.code, kExitSuccess) << result.err;
  const Json one = Json::parse(lines_of(read_text(folder / "bench.jsonl")).at(0));
  EXPECT_LT(one["machine"]["peak_memory_bytes"].get<int64_t>(),
            program.peak_memory_bytes() - (int64_t{128} << 20));
}

// The weights are gone: that a result can't be written comes to light before they are read.
TEST(BenchCommand, WrongPathsAreFoundFirst) {
  const TinyModelDirectory model;
  std::filesystem::remove(model / "model.safetensors");
  for (const char* flag : {"--json", "--plot"}) {
    const ProgramResult result =
        run_program(Words{"bench", "sample", "--model", model.path(), "--prompt-tokens", "4", flag,
                          model / "nowhere/out"} +
                    sets({"rollout.width=4", "rollout.depth=2", "rollout.segment_tokens=4"}));
    EXPECT_EQ(result.code, kExitError);
    EXPECT_THAT(result.err, AllOf(HasSubstr("nowhere/out"), HasSubstr("No such file"))) << flag;
  }
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
      {bench + Words{"quickstart", "--prompts", "x"} +
           sets({"rollout.segment_tokens=4", "rollout.depth=2"}),
       kExitError,
       {"x: "}},
      {bench + Words{"quickstart", "--prompts", "x", "--reward", "exact"},
       kExitError,
       {"--reward", "tokenizer", "--model DIR"}},
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
      {bench + Words{"quickstart"} +
           sets({"rollout.sequential=true", "rollout.depth=2", "rollout.segment_tokens=8"}),
       kExitError,
       {"rollout.sequential = true"}},
      {bench + Words{"quickstart", "--branching", "3"} +
           sets({"rollout.budget=random", "rollout.depth=2", "rollout.segment_tokens=8"}),
       kExitError,
       {"branching factors have no part", "rollout.budget = random"}},
      {bench + Words{"quickstart", "--queries", "5"} +
           sets({"rollout.budget=tokens_per_step", "rollout.depth=2", "rollout.segment_tokens=8",
                 "rollout.tokens_per_step=39"}),
       kExitError,
       {"rollout.tokens_per_step = 39", "queries sampled together = 5", "40 hold one path"}},
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
