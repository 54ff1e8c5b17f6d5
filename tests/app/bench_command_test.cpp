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
      run_program(Words{"bench", "sample", "--random-model", "quickstart", "--queries", "2",
                        "--rounds", "1", "--prompt-tokens", "4", "--depths", "4", "--lock-step",
                        "--ignore-eos", "--json", folder / "bench.jsonl"} +
                  sets({"rollout.width=4", "rollout.depth=2", "rollout.segment_tokens=4"}));
  ASSERT_EQ(result.code, kExitSuccess) << result.err;
  EXPECT_THAT(result.out,
              AllOf(StartsWith("307104 parameters, float32, "), HasSubstr("traj/s"),
                    HasSubstr("\nsequential, w 4 "), HasSubstr("\ntree 2 x 4, w 4 "),
                    HasSubstr("\ntree 4 x 2, w 4 "), HasSubstr("\ntree 2 x 4, w 4, lock step "),
                    HasSubstr(" x the trajectories/s of sequential, w 4"),
                    HasSubstr("unique share by depth, tree 2 x 4, w 4: 1: 50 %")));
  const Words lines = lines_of(read_text(folder / "bench.jsonl"));
  ASSERT_EQ(lines.size(), 5u);
  for (const std::string& line : lines) {
    const Json one = Json::parse(line);
    EXPECT_EQ(one["width"], 4);
    EXPECT_EQ(one["trajectories"], 8);
    EXPECT_EQ(one["seconds"].size(), 1u);
    EXPECT_GT(one["trajectories_per_s"], 0);
    const bool sequential = one["case"].get<std::string>().starts_with("sequential");
    EXPECT_EQ(one["sharing"] == 1.0, sequential);
  }
}

TEST(BenchCommand, WrongSettingsAreErrors) {
  const Words bench = {"bench", "sample", "--random-model"};
  const std::vector<ProgramResult> results =
      run_programs({bench + Words{"huge"}, bench + Words{"quickstart", "--model", "x"},
                    bench + Words{"quickstart", "--prompts", "x"},
                    bench + Words{"quickstart", "--depths", "3"} +
                        sets({"rollout.segment_tokens=4", "rollout.depth=2"})});
  EXPECT_EQ(results[0].code, kExitError);
  EXPECT_THAT(results[0].err, AllOf(HasSubstr("\"huge\""), HasSubstr("quickstart, 89m")));
  EXPECT_EQ(results[1].code, kExitUsage);
  EXPECT_THAT(results[1].err, HasSubstr("one of --model and --random-model"));
  EXPECT_EQ(results[2].code, kExitError);
  EXPECT_THAT(results[2].err, HasSubstr("--model DIR"));
  EXPECT_EQ(results[3].code, kExitError);
  EXPECT_THAT(results[3].err, HasSubstr("--depths 3"));
}

}  // namespace
}  // namespace treepo
