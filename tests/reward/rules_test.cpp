#include "reward/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reward/judge.h"
#include "reward/multiple_choice.h"
#include "support/expect_error.h"

namespace treepo {
namespace {

using testing::HasSubstr;

double score(const std::string& kind, const std::string& answer, std::string_view text) {
  return judge_one(reward_kind(kind), answer, text).score;
}

TEST(NumericRule, AllowsATolerance) {
  EXPECT_EQ(score("numeric", "100", "99"), 0);
  EXPECT_EQ(score("numeric:rel=0.01", "100", "99"), 1);
  EXPECT_EQ(score("numeric:rel=0.01", "100", "98.9"), 0);
  EXPECT_EQ(score("numeric:rel=0.01", "-100", "-101"), 1);
  EXPECT_EQ(score("numeric:abs=0.5", "100", "100.5"), 1);
  EXPECT_EQ(score("numeric:abs=0.5", "100", "100.6"), 0);
  EXPECT_EQ(score("numeric:abs=0.5", "100", "none"), 0);
}

// Words such as NaN and infinity are no numbers, neither in responses nor in answers.
TEST(NumericRule, NanAndInfinityAreNoNumbers) {
  for (const char* text : {"NaN", "nan", "inf", "-Infinity", "1e999", ""})
    EXPECT_EQ(score("numeric:abs=1e308", "7", text), 0) << text;
  EXPECT_THAT(error_of([] { score("numeric", "inf", "7"); }), HasSubstr("not a number"));
}

TEST(MultipleChoice, FindsTheLetter) {
  const auto letter = [](std::string_view text) {
    const auto found = chosen_letter(text, 'E');
    return found ? std::string(1, *found) : "none";
  };
  EXPECT_EQ(letter("C"), "C");
  EXPECT_EQ(letter("c"), "C");
  EXPECT_EQ(letter("(C)"), "C");
  EXPECT_EQ(letter("**C**"), "C");
  EXPECT_EQ(letter("It's B, no: \\boxed{\\text{C}}."), "C");
  EXPECT_EQ(letter("\\boxed{(D) Paris}"), "D");
  EXPECT_EQ(letter("A is wrong, so the answer is D."), "D");
  EXPECT_EQ(letter("The answer is option (B) because A is wrong"), "B");
  EXPECT_EQ(letter("**Answer:** C\nAs D is wrong."), "C");
  EXPECT_EQ(letter("I choose (B) here"), "B");
  EXPECT_EQ(letter("so it must be E"), "E");
  EXPECT_EQ(letter("nothing of that"), "none");
  EXPECT_EQ(letter("Banana"), "none");
  EXPECT_EQ(letter("the answer is F"), "none") << "beyond the last letter";
  EXPECT_EQ(letter(""), "none");
}

TEST(MultipleChoice, ComparesWithTheAnswer) {
  EXPECT_EQ(score("multiple_choice", "C", "the answer is C"), 1);
  EXPECT_EQ(score("multiple_choice", "(C)", "the answer is C"), 1);
  EXPECT_EQ(score("multiple_choice", "C. Paris", "the answer is B"), 0);
  EXPECT_EQ(judge_one(reward_kind("multiple_choice"), "C", "the answer is B").answer, "B");
  EXPECT_THAT(error_of([] { score("multiple_choice", "E", "E"); }), HasSubstr("no letter A to D"));
  EXPECT_EQ(score("multiple_choice:E", "E", "E"), 1);
}

TEST(FormatRule, SearchesTheWholeResponse) {
  EXPECT_EQ(score("format:^<think>.*</think>$", "", "<think>a\nb</think>"), 1);
  EXPECT_EQ(score("format:^<think>.*</think>$", "", "<think>a\nb</think>\n"), 0);
  EXPECT_EQ(score("format:^.{2}$", "", "\u00e4\U0001F600"), 1) << "characters, not bytes";
  EXPECT_EQ(score("format:b", "",
                  "a\xff"
                  "b"),
            1)
      << "bytes that are no UTF-8";
  EXPECT_EQ(score("format:b", "", ""), 0);
}

TEST(FormatRule, GivesUpOnPatternsThatBacktrackWithoutEnd) {
  const Verdict verdict = judge_one(reward_kind("format:^(a+)+$"), "", std::string(60, 'a') + "b");
  EXPECT_EQ(verdict.score, 0);
  EXPECT_EQ(verdict.failure, VerifierFailure::timed_out);
}

TEST(TagsRule, WantsEachTagOnceInOrder) {
  const auto tags = [](std::string_view text) { return score("tags:think, answer", "", text); };
  EXPECT_EQ(tags("<think>a</think> <answer>7</answer>"), 1);
  EXPECT_EQ(tags("x<think>a</think>y<answer>7</answer>z"), 1);
  EXPECT_EQ(tags("<answer>7</answer><think>a</think>"), 0);
  EXPECT_EQ(tags("<think>a</think>"), 0);
  EXPECT_EQ(tags("<think>a</think><answer>7</answer><answer>8</answer>"), 0);
  EXPECT_EQ(tags("<think>a<answer>7</answer></think>"), 0) << "nested";
  EXPECT_EQ(tags("<think> </think><answer>7</answer>"), 0) << "empty";
  EXPECT_EQ(tags("</think>a<think><answer>7</answer>"), 0);
}

TEST(LengthRule, CountsCharacters) {
  EXPECT_EQ(score("length:3", "", "abc"), 1);
  EXPECT_EQ(score("length:3", "", "\u00e4\u00e4\u00e4"), 1);
  EXPECT_EQ(score("length:3", "", "abcd"), 0);
  EXPECT_EQ(score("length:2..3", "", "a"), 0);
}

TEST(RepetitionRule, IsTheShareOfRepeatedRuns) {
  EXPECT_EQ(score("repetition:2", "", "a b c d"), 0);
  EXPECT_DOUBLE_EQ(score("repetition:2", "", "a b a b"), 1 - 2.0 / 3);  // ab ba ab
  EXPECT_DOUBLE_EQ(score("repetition:1", "", "x x  x\nx"), 0.75);
  EXPECT_EQ(score("repetition", "", "a b"), 0) << "shorter than one run";
  EXPECT_EQ(score("repetition", "", ""), 0);
}

}  // namespace
}  // namespace treepo
