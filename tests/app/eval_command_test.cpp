#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "app/command_line.h"
#include "app/tiny_run.h"
#include "base/json.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class EvalCommand : public testing::Test {
 protected:
  EvalCommand() {
    std::string easy, hard;
    for (int i = 1; i < 8; ++i) {
      easy += fmt::format("{{\"prompt\": \"{}+1=\", \"answer\": \"{}\"}}\n", i, i + 1);
      hard += fmt::format("{{\"prompt\": \"{}*7=\", \"answer\": \"{}\"}}\n", i, i * 7);
    }
    write_text(folder_ / "easy.jsonl", easy);
    write_text(folder_ / "hard.jsonl", hard);
  }

  Words eval(const Words& more = {}) {
    return Words{"eval",
                 "--model",
                 model_.path(),
                 "--data",
                 folder_ / "easy.jsonl",
                 "--data",
                 folder_ / "hard.jsonl",
                 "--reward",
                 "numeric",
                 "--samples",
                 "4",
                 "--quiet",
                 "--out",
                 folder_ / "out"} +
           sets({"rollout.depth=3", "rollout.segment_tokens=4"}) + more;
  }

  TinyModelDirectory model_;
  TemporaryDirectory folder_;
};

TEST_F(EvalCommand, PrintsARowForEachDataSetAndLeavesEveryAnswer) {
  const ProgramResult result = run_program(eval());
  ASSERT_EQ(result.code, kExitSuccess) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("avg@4"), HasSubstr("maj@4"), HasSubstr("easy"),
                                HasSubstr("hard"), HasSubstr("all")));
  const Words answers = lines_of(read_text(folder_ / "out/answers.jsonl"));
  EXPECT_EQ(answers.size(), 28u);  // 14 problems, drawn and greedy
  EXPECT_EQ(Json::parse(answers[0])["answers"].size(), 4u);
  const Words rows = lines_of(read_text(folder_ / "out/results.jsonl"));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(Json::parse(rows[2])["problems"], 14);

  const std::string before = read_text(folder_ / "out/results.jsonl");
  EXPECT_EQ(run_program(eval(sets({"engine.max_rows=3"}))).code, kExitSuccess);  // goes on: done
  EXPECT_EQ(read_text(folder_ / "out/results.jsonl"), before);
}

TEST_F(EvalCommand, AnotherEvaluationInTheSameFolderIsAnError) {
  ASSERT_EQ(run_program(eval()).code, kExitSuccess);
  for (const Words& other : {Words{"--trees"}, sets({"evaluate.temperature=0.5"})}) {
    const ProgramResult result = run_program(eval(other));
    EXPECT_EQ(result.code, kExitError);
    EXPECT_THAT(result.err, AllOf(HasSubstr("holds another evaluation"), HasSubstr(" was ")));
  }
}

// How many trees are grown together depends on the rows, and a tree's share of the budget on that.
TEST_F(EvalCommand, RowsMayNotChangeWhereTreesShareABudget) {
  const Words budget = sets({"rollout.budget=tokens_per_step", "rollout.tokens_per_step=400"});
  const Words rows = sets({"engine.max_rows=3"});
  ASSERT_EQ(run_program(eval(budget)).code, kExitSuccess);
  EXPECT_EQ(run_program(eval(budget + rows)).code, kExitSuccess);  // one by one: no tree shares it
  std::filesystem::remove_all(folder_ / "out");
  const Words trees = Words{"--trees"} + budget;
  ASSERT_EQ(run_program(eval(trees)).code, kExitSuccess);
  const ProgramResult result = run_program(eval(trees + rows));
  EXPECT_EQ(result.code, kExitError);
  EXPECT_THAT(result.err, HasSubstr("holds another evaluation: engine.max_rows was 256, now 3"));
}

TEST_F(EvalCommand, SaysWhatIsMissing) {
  const ProgramResult no_model = run_program({"eval", "--data", "x.jsonl"});
  EXPECT_EQ(no_model.code, kExitUsage);
  EXPECT_THAT(no_model.err, HasSubstr("--model"));
  const ProgramResult no_file = run_program(eval({"--data", folder_ / "none.jsonl"}));
  EXPECT_EQ(no_file.code, kExitError);
  EXPECT_THAT(no_file.err, HasSubstr("none.jsonl"));
  const ProgramResult by_value =
      run_program(eval({"--trees", "--set", "rollout.divergence=high_value"}));
  EXPECT_EQ(by_value.code, kExitError);
  EXPECT_THAT(by_value.err, HasSubstr("looks at the answers"));
}

}  // namespace
}  // namespace treepo
