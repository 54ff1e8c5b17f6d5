#include "reward/countdown.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/json.h"
#include "reward/expression.h"
#include "reward/judge.h"
#include "support/assets.h"
#include "support/expect_error.h"

namespace treepo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string value_of(std::string_view text) {
  const Expression expression = evaluate_expression(text);
  return expression.value ? rational_text(*expression.value) : expression.error;
}

TEST(Expression, EvaluatesExactly) {
  EXPECT_EQ(value_of("1+2*3"), "7");
  EXPECT_EQ(value_of("(1+2)*3"), "9");
  EXPECT_EQ(value_of("8-3-2"), "3");
  EXPECT_EQ(value_of("8/4/2"), "1");
  EXPECT_EQ(value_of("1/3+1/6"), "1/2");
  EXPECT_EQ(value_of("(1/3)*3-1"), "0");
  EXPECT_EQ(value_of("-(2-5)*-2"), "-6");
  EXPECT_EQ(value_of(" ( 79 + ( 17 - 60 ) ) "), "36");
  EXPECT_EQ(value_of("\\left(2\\times3\\right)\\div 4 \u2212 1 \u00d7 5 \u00f7 2"), "-1");
  EXPECT_THAT(evaluate_expression("5*(5-1/5)").numbers, ElementsAre(5, 5, 1, 5));
}

TEST(Expression, SaysWhatIsWrong) {
  EXPECT_THAT(value_of(""), HasSubstr("no more"));
  EXPECT_THAT(value_of("1+"), HasSubstr("no more"));
  EXPECT_THAT(value_of("1/(2-2)"), HasSubstr("division by zero"));
  EXPECT_THAT(value_of("(1+2"), HasSubstr("not closed"));
  EXPECT_THAT(value_of("1+2)"), HasSubstr("where it cannot be"));
  for (const char* text : {"2(3)", "2**3", "2^3", "1.5+1", "x", "__import__('os')", "3 4", "+1"})
    EXPECT_THAT(value_of(text), HasSubstr("where it cannot be")) << text;
  EXPECT_THAT(value_of("99999999999999999999"), HasSubstr("too large"));
  std::string product = "9000000000000000000";
  for (int i = 0; i < 3; ++i) product += "*9000000000000000000";
  EXPECT_THAT(value_of(product), HasSubstr("too large"));
  EXPECT_THAT(value_of(std::string(100000, '(') + "1"), HasSubstr("nested too deeply"));
  EXPECT_THAT(value_of(std::string(100000, '-') + "1"), HasSubstr("nested too deeply"));
}

// A random expression and its value by floating point, which small numbers allow to compare.
struct Drawn {
  std::string text;
  double value;
};
Drawn draw(std::mt19937& random, int depth) {
  if (depth == 0 || random() % 4 == 0) {
    const int number = static_cast<int>(random() % 9) + 1;
    return {std::to_string(number), static_cast<double>(number)};
  }
  const Drawn a = draw(random, depth - 1), b = draw(random, depth - 1);
  switch (random() % 4) {
    case 0:
      return {"(" + a.text + "+" + b.text + ")", a.value + b.value};
    case 1:
      return {"(" + a.text + "-" + b.text + ")", a.value - b.value};
    case 2:
      return {"(" + a.text + "*" + b.text + ")", a.value * b.value};
    default:
      return {"(" + a.text + "/" + b.text + ")", a.value / b.value};
  }
}

TEST(Expression, AgreesWithFloatingPoint) {
  std::mt19937 random(1);
  int compared = 0;
  for (int i = 0; i < 2000; ++i) {
    const Drawn drawn = draw(random, 4);
    const Expression expression = evaluate_expression(drawn.text);
    if (!expression.value) continue;  // a division by zero
    const double value = static_cast<double>(expression.value->numerator) /
                         static_cast<double>(expression.value->denominator);
    ASSERT_NEAR(value, drawn.value, 1e-9 * std::max(1.0, std::abs(drawn.value))) << drawn.text;
    ++compared;
  }
  EXPECT_GT(compared, 1500);
}

TEST(Countdown, ProposesTheLastAnswer) {
  EXPECT_EQ(proposed_expression("<answer>1</answer> no: <answer> 2+3 </answer>"), "2+3");
  EXPECT_EQ(proposed_expression("so \\boxed{2+3}."), "2+3");
  EXPECT_EQ(proposed_expression("thus\n 2+3 = 5 \n"), "2+3 = 5");
  EXPECT_EQ(proposed_expression(" \n"), std::nullopt);
}

TEST(Countdown, EachNumberOnce) {
  const CountdownTask task{{79, 17, 60}, 36};
  EXPECT_EQ(countdown_fault("(79+(17-60))", task, false), "");
  EXPECT_EQ(countdown_fault("79+17-60=36", task, false), "");
  EXPECT_EQ(countdown_fault("79+17-60=37", task, false), "it says that the value is 37");
  EXPECT_EQ(countdown_fault("79-17-60", task, false), "the value is 2, not 36");
  EXPECT_EQ(countdown_fault("79+17-60+1-1", task, false), "1 is not given, or not so often");
  EXPECT_EQ(countdown_fault("79+17-60+17-17", task, false), "17 is not given, or not so often");
  EXPECT_EQ(countdown_fault("36", task, false), "36 is not given, or not so often");
  const CountdownTask loose{{6, 6, 5}, 36};
  EXPECT_EQ(countdown_fault("6*6", loose, false), "5 is not used");
  EXPECT_EQ(countdown_fault("6*6", loose, true), "");
  EXPECT_THAT(countdown_fault("NaN", task, false), HasSubstr("no expression"));
}

TEST(Countdown, FindsTheTask) {
  Problem problem = problem_with_answer(std::nullopt);
  problem.row = R"({"nums": [44, 19, 35], "target": 98})";
  EXPECT_THAT(countdown_task(problem).numbers, ElementsAre(44, 19, 35));
  EXPECT_EQ(countdown_task(problem).target, 98);
  problem.row = "";
  problem.prompt = "Using the numbers [1, 2, 3], create an equation that equals 6.";
  EXPECT_THAT(error_of([&] { countdown_task(problem); }),
              HasSubstr("data.jsonl, line 7: problem \"p7\" has no target"));
  problem.answer = "1+2+3";
  EXPECT_THAT(countdown_task(problem).numbers, ElementsAre(1, 2, 3));
  EXPECT_EQ(countdown_task(problem).target, 6);
  problem.answer = R"({"numbers": [4, 5], "target": 20})";
  EXPECT_THAT(countdown_task(problem).numbers, ElementsAre(4, 5));
  problem.answer = "six";
  problem.prompt = "no numbers";
  EXPECT_THAT(error_of([&] { countdown_task(problem); }), HasSubstr("has no numbers"));
}

// Every solution of the data set is right; with another target it is wrong.
TEST(Countdown, AcceptsTheSolutionsOfTheDataSet) {
  const std::string path = std::string(TREEPO_ASSETS) + "/data/countdown/val_200.jsonl";
  if (!file_system().exists(path)) GTEST_SKIP() << no_assets();
  const auto verifier = make_verifier(reward_kind("countdown"));
  JsonLineReader reader(path);
  int rows = 0;
  for (Json row; reader.next(row); ++rows) {
    Problem problem = problem_with_answer(std::nullopt);
    problem.row = row.dump();
    const std::string said = "<answer>" + row["gold_expr"].get<std::string>() + "</answer>";
    EXPECT_EQ(judge_one(*verifier, problem, said).score, 1) << said;
    row["target"] = row["target"].get<int>() + 1;
    problem.row = row.dump();
    EXPECT_EQ(judge_one(*verifier, problem, said).score, 0) << said;
  }
  EXPECT_EQ(rows, 200);
}

}  // namespace
}  // namespace treepo
