#include "data/presets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "data/load_sources.h"
#include "support/assets.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Published {
  std::string source;  // below assets/data
  size_t problems;     // with an answer
  std::string first_prompt, first_answer;
};

// The data sets as they are published: how many there are, and the first one, read by eye.
const Published kPublished[] = {
    {"gsm8k:gsm8k/train.jsonl", 7473, "Natalia sold clips to 48 of her friends", "72"},
    {"gsm8k:gsm8k/test.jsonl", 1319, "Janet\u2019s ducks lay 16 eggs per day.", "18"},
    {"math:math/math500.jsonl", 500, "Convert the point $(0,3)$",
     "\\left( 3, \\frac{\\pi}{2} \\right)"},
    {"aime:math/aime24.jsonl", 30, "Every morning Aya goes", "204"},
    {"amc:math/amc23.jsonl", 40, "Cities $A$ and $B$ are $45$ miles", "27"},
    {"minerva:math/minerva_math.jsonl", 272, "Each of the two Magellan telescopes", "1.6"},
    {"olympiadbench:math/olympiadbench.jsonl", 675, "Xenia and Sergey play", "2"},
    {"deepscaler:deepscaler/train_aime.json", 975, "Let $x$, $y$ and $z$ all exceed", "60"},
    {"deepscaler:deepscaler/train_math.json", 7470, "Let \\[f(x) = \\left\\{", "0"},
    {"countdown:countdown/val_200.jsonl", 200, "Using the numbers [3, 82, 18, 47], create", "41"},
    {"countdown:countdown/test_with_solver_answers.jsonl", 500,
     "Using the numbers [79, 17, 60], create", "36"},
    {"knights_knaves:knights-knaves/kk_3ppl_train.jsonl", 900, "A very special island",
     "(1) Michael is a knight\n(2) Zoey is a knight\n(3) Ethan is a knight"},
    {"knights_knaves:knights-knaves/kk_3ppl_test.jsonl", 100, "A very special island",
     "(1) Amelia is a knight\n(2) Penelope is a knight\n(3) Evelyn is a knave"},
};

std::string in_assets(const std::string& source) {
  const size_t colon = source.find(':');
  return source.substr(0, colon + 1) + TREEPO_ASSETS + "/data/" + source.substr(colon + 1);
}

TEST(Presets, ReadTheDataSetsAsTheyLie) {
  if (!file_system().exists(std::string(TREEPO_ASSETS) + "/data")) GTEST_SKIP() << no_assets();
  for (const Published& set : kPublished) {
    DataOptions options;
    options.drop_unanswered = true;
    const auto problems = load_problems(in_assets(set.source), options, {}, {});
    ASSERT_EQ(problems.size(), set.problems) << set.source;
    EXPECT_THAT(problems[0].prompt, StartsWith(set.first_prompt)) << set.source;
    EXPECT_EQ(problems[0].answer, set.first_answer) << set.source;
    for (const Problem& problem : problems) EXPECT_NE(problem.answer, "") << problem.where;
  }
}

TEST(Presets, CountdownPromptsAreWrittenFromNumbersAndTarget) {
  const std::string path = std::string(TREEPO_ASSETS) + "/data/countdown/raw_train.jsonl";
  if (!file_system().exists(path)) GTEST_SKIP() << no_assets();
  const auto problems = load_problems("countdown:" + path, {}, {}, {});
  ASSERT_EQ(problems.size(), 117000u);
  EXPECT_THAT(problems[0].prompt,
              HasSubstr("the numbers [44, 19, 35], write an expression whose value is 98."));
  EXPECT_EQ(problems[0].row, R"({"target": 98, "nums": [44, 19, 35]})");
}

class OneRow : public ::testing::Test {
 protected:
  Problem read(const std::string& preset, const std::string& row) {
    write_file_atomically(folder_ / "f.jsonl", row + "\n");
    PromptOptions prompt;
    prompt.form = "plain";
    return load_problems(preset + ":" + (folder_ / "f.jsonl"), {}, prompt, {}).at(0);
  }
  TemporaryDirectory folder_;
};

TEST_F(OneRow, MathWithoutAnAnswerFieldTakesTheSolutionsLastBox) {
  EXPECT_EQ(
      read("math", R"({"problem": "p", "solution": "\\boxed{1}, so \\boxed{ \\frac{1}{2} }."})")
          .answer,
      "\\frac{1}{2}");
  EXPECT_THAT(error_of([&] { read("math", R"({"problem": "p", "solution": "so 2"})"); }),
              HasSubstr("line 1: no answer is found in \"solution\""));
  EXPECT_THAT(error_of([&] { read("gsm8k", R"({"question": "p", "answer": "so 2"})"); }),
              HasSubstr("no answer is found in \"answer\""));
}

TEST_F(OneRow, VerlsAnswersAreTheirTextOrTheirJson) {
  const Problem plain =
      read("verl", R"({"prompt": [{"role": "user", "content": "q"}], "data_source": "x",)"
                   R"( "reward_model": {"ground_truth": "7"}, "extra_info": {"index": 4}})");
  EXPECT_EQ(plain.answer, "7");
  EXPECT_EQ(plain.id, "4");
}

TEST_F(OneRow, OlympiadQuestionsComeBehindTheirContext) {
  const Problem problem =
      read("olympiadbench", R"({"id": 3, "context": "Let n=2.", "question": "What is n?",)"
                            R"( "final_answer": ["2", "$3$"]})");
  EXPECT_EQ(problem.prompt, "Let n=2.\n\nWhat is n?");
  EXPECT_EQ(problem.answer, "2, $3$");
}

TEST_F(OneRow, RowsOfAnotherFormAreNamed) {
  EXPECT_THAT(error_of([&] { read("gsm8k", R"({"problem": "p", "answer": "#### 3"})"); }),
              HasSubstr("\"question\", the field of the prompt, is missing"));
  EXPECT_THAT(error_of([&] { read("countdown", R"({"target": 3})"); }), HasSubstr("\"numbers\""));
}

}  // namespace
}  // namespace treepo
