#include "reward/verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>

#include "base/json.h"
#include "config/declare.h"
#include "reward/judge.h"
#include "reward/native.h"
#include "reward/overlong.h"
#include "support/assets.h"
#include "support/expect_error.h"

namespace treepo {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<Verifier> verifier_of(const std::string& kind) {
  return make_verifier(reward_kind(kind));
}

Verdict judge(const std::string& kind, const std::string& answer, std::string_view text, bool eos) {
  const Problem problem = problem_with_answer(answer);
  const auto verifier = verifier_of(kind);
  verifier->check(problem);
  const Response response{&problem, text, eos};
  return verifier->verify(std::span(&response, 1)).at(0);
}

struct Case {
  std::string answer, text;
  bool eos;
  double score;
  std::optional<std::string> said;
  std::string reason;
};

void expect_verdicts(const std::string& kind, const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const Verdict verdict = judge(kind, c.answer, c.text, c.eos);
    SCOPED_TRACE(kind + ": " + c.text + " for " + c.answer);
    EXPECT_DOUBLE_EQ(verdict.score, c.score);
    EXPECT_EQ(verdict.correct, c.score == 1.0);
    EXPECT_EQ(verdict.answer, c.said);
    EXPECT_EQ(verdict.reason, c.reason);
  }
}

TEST(CarryVerifier, LooksAtTheEndOnly) {
  expect_verdicts("carry",
                  {
                      {"72", "8+5=13;13+4=17;17-8=9;9+3=12;12*6=72!", true, 1, "72", "right"},
                      {"72", "nonsense 72!", true, 1, "72", "right"},
                      {"72", "72!", true, 1, "72", "right"},
                      {"72", "12*6=72!", false, 0, std::nullopt, "no EOS"},
                      {"72", "12*6=72", true, 0, std::nullopt, "no ! at the end"},
                      {"72", "12*6=72!!", true, 0, std::nullopt, "no value before !"},
                      {"72", "12*6=72!;", true, 0, std::nullopt, "no ! at the end"},
                      {"72", "12*6=72!12*6=71!", true, 0, "71", "wrong value"},
                      {"72", "", true, 0, std::nullopt, "no ! at the end"},
                      {"72", "!", true, 0, std::nullopt, "no value before !"},
                      {"72", "=172!", true, 0, "172", "wrong value"},
                      {"72", "=-72!", true, 0, "-72", "wrong value"},
                      {"72", "=072!", true, 0, "072", "wrong value"},
                      {"2", "9-2!", true, 1, "2", "right"},
                      {"-2", "1-3=-2!", true, 1, "-2", "right"},
                      {"-2", "-2!", true, 1, "-2", "right"},
                  });
}

TEST(DigitsVerifier, CountsMatchingPositionsOfAnswerAndEos) {
  expect_verdicts("digits", {
                                {"8,2", "8,2", true, 1, "8,2", "right"},
                                {"8,2", "8,2", false, 0.75, std::nullopt, "3 of 4 positions"},
                                {"8,2", "8,3", true, 0.75, "8,3", "3 of 4 positions"},
                                {"8,2", "8", true, 0.25, "8", "1 of 4 positions"},
                                {"8,2", "8,2,5", true, 0.75, "8,2,5", "3 of 4 positions"},
                                {"8,2", "", true, 0, "", "0 of 4 positions"},
                                {"8,2", ",8,2", true, 0, ",8,2", "0 of 4 positions"},
                                {"", "", true, 1, "", "right"},
                                {"", "", false, 0, std::nullopt, "0 of 1 positions"},
                                {"", "1", true, 0, "1", "0 of 1 positions"},
                                {"8,2", "\u00e9,2", true, 0.75, "\u00e9,2", "3 of 4 positions"},
                            });
}

TEST(ExactVerifier, ComparesTrimmedText) {
  expect_verdicts("exact", {
                               {"Paris", "Paris", true, 1, "Paris", "right"},
                               {"Paris", " \n Paris\t", false, 1, "Paris", "right"},
                               {" Paris ", "Paris", false, 1, "Paris", "right"},
                               {"Paris", "paris", true, 0, "paris", "not equal"},
                               {"Paris", "Paris.", true, 0, "Paris.", "not equal"},
                               {"Paris", " ", true, 0, std::nullopt, "empty response"},
                               {"", "", true, 1, "", "right"},
                           });
}

TEST(NumericVerifier, ComparesTheLastNumber) {
  expect_verdicts("numeric", {
                                 {"18", "16-3-4=9, 9*2=$18.", false, 1, "18", "right"},
                                 {"0.5", "that is 1/2", true, 1, "0.5", "right"},
                                 {"1234", "1,234 dollars", true, 1, "1234", "right"},
                                 {"27.0", "27", true, 1, "27", "right"},
                                 {"-3", "x = -3", true, 1, "-3", "right"},
                                 {"3", "5-3", true, 1, "3", "right"},
                                 {"0.333333333333", "1/3", true, 1, "0.333333333333", "right"},
                                 {"18", "18 or 19", true, 0, "19", "wrong value"},
                                 {"18", "none", true, 0, std::nullopt, "no number"},
                                 {"18", "", true, 0, std::nullopt, "no number"},
                             });
}

TEST(MakeVerifier, NamesTheKindsWhenOneIsUnknown) {
  const std::string error = error_of([] { verifier_of("exakt"); });
  EXPECT_THAT(error, HasSubstr("unknown reward.kind \"exakt\""));
  EXPECT_THAT(error, HasSubstr("one of math, exact, numeric"));
}

// Options refuse a name before anything is loaded: by a list of their own.
TEST(MakeVerifier, OptionsKnowTheSameKinds) {
  RunOptions options;
  const OptionTable table = declare_options(options);
  const std::string hint = error_of([] { verifier_of("exakt"); });
  std::istringstream names(hint.substr(hint.find("one of ") + 7));
  int kinds = 0;
  for (std::string name; names >> name; ++kinds) {
    if (name.ends_with(',')) name.pop_back();
    EXPECT_NO_THROW(table.set("reward.kind", name, "test")) << name;
    EXPECT_THAT(table.find("reward.kind")->range, HasSubstr(name));
  }
  EXPECT_EQ(kinds, 12);
  EXPECT_THROW(table.set("reward.kind", std::string("exakt"), "test"), Error);
}

TEST(Verifier, RefusesProblemsItCannotJudge) {
  for (const char* kind : {"carry", "digits", "exact", "numeric"}) {
    const std::string error =
        error_of([&] { verifier_of(kind)->check(problem_with_answer(std::nullopt)); });
    EXPECT_THAT(error, HasSubstr("data.jsonl, line 7: problem \"p7\" has no answer")) << kind;
  }
  for (const char* answer : {"", "-", "7.5", "7 ", "seven", "1-2"}) {
    EXPECT_THAT(error_of([&] { verifier_of("carry")->check(problem_with_answer(answer)); }),
                HasSubstr("not an integer"))
        << answer;
  }
  for (const char* answer : {"", "seven", "7 apples", "nan", "1/0", "\\frac{1}{2}"}) {
    EXPECT_THAT(error_of([&] { verifier_of("numeric")->check(problem_with_answer(answer)); }),
                HasSubstr("not a number"))
        << answer;
  }
  verifier_of("carry")->check(problem_with_answer("-7"));
  verifier_of("digits")->check(problem_with_answer(""));
  verifier_of("exact")->check(problem_with_answer(""));
}

TEST(Verifier, JudgesABatchInOrder) {
  const Problem a = problem_with_answer("1"), b = problem_with_answer("2");
  const Response responses[] = {{&a, "1", true}, {&b, "1", true}, {&b, "2", true}, {&a, "", true}};
  std::vector<double> scores;
  for (const Verdict& verdict : verifier_of("exact")->verify(responses))
    scores.push_back(verdict.score);
  EXPECT_EQ(scores, (std::vector<double>{1, 0, 1, 0}));
  EXPECT_TRUE(verifier_of("exact")->verify({}).empty());
}

// A verifier gone wrong.
class FixedVerifier : public Verifier {
 public:
  explicit FixedVerifier(std::vector<double> scores) : scores_(std::move(scores)) {}
  void check(const Problem&) const override {}

 private:
  std::vector<Verdict> judge(std::span<const Response>) override {
    std::vector<Verdict> verdicts;
    for (const double score : scores_)
      verdicts.push_back({.score = score, .correct = false, .answer = "", .reason = "log of 0"});
    return verdicts;
  }
  std::vector<double> scores_;
};

TEST(Verifier, RefusesScoresThatAreNotFinite) {
  const Problem problem = problem_with_answer("1");
  const Response responses[] = {{&problem, "1", true}, {&problem, "2", true}};
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    const std::string error = error_of([&] { FixedVerifier({1.0, bad}).verify(responses); });
    EXPECT_THAT(error, HasSubstr("problem \"p7\" is " + fmt::format("{}", bad)));
    EXPECT_THAT(error, HasSubstr("log of 0"));
  }
  EXPECT_THROW(FixedVerifier({1.0}).verify(responses), CheckFailure) << "a verdict is missing";
}

TEST(OverlongPenalty, RisesLinearlyOverTheLastTokens) {
  RewardOptions options;
  options.overlong_tokens = 20;
  options.overlong_penalty = 2.0;
  EXPECT_EQ(overlong_penalty(0, 100, options), 0.0);
  EXPECT_EQ(overlong_penalty(80, 100, options), 0.0);
  EXPECT_DOUBLE_EQ(overlong_penalty(81, 100, options), 0.1);
  EXPECT_DOUBLE_EQ(overlong_penalty(90, 100, options), 1.0);
  EXPECT_DOUBLE_EQ(overlong_penalty(100, 100, options), 2.0);
  EXPECT_DOUBLE_EQ(overlong_penalty(130, 100, options), 2.0);
  options.overlong_tokens = 0;
  EXPECT_EQ(overlong_penalty(100, 100, options), 0.0) << "off";
  options.overlong_tokens = 200;
  EXPECT_DOUBLE_EQ(overlong_penalty(50, 100, options), 1.5) << "the window starts below 0";
}

// TASK.md beside the digit model: zeros of the right count score 0.63 on the test prompts, the
// second number repeated 0.67.
TEST(DigitsVerifier, GivesConstantAnswersTheirPublishedScores) {
  const std::string path =
      std::string(TREEPO_ASSETS) + "/models/verl-arith-seq-llama/test_qa.jsonl";
  if (!file_system().exists(path)) GTEST_SKIP() << no_assets();
  const auto verifier = verifier_of("digits");
  double zeros = 0, seconds = 0, right = 0;
  int64_t count = 0, exact = 0;
  JsonLineReader reader(path);
  for (Json row; reader.next(row); ++count) {
    const std::string prompt = row["prompt"];  // a,b:m,n
    const size_t colon = prompt.find(':'), first = prompt.find(','), last = prompt.rfind(',');
    const std::string second = prompt.substr(first + 1, colon - first - 1);
    std::string zero_text, second_text;
    for (int n = std::stoi(prompt.substr(last + 1)), i = 0; i < n; ++i) {
      zero_text += i > 0 ? ",0" : "0";
      second_text += (i > 0 ? "," : "") + second;
    }
    const Problem problem = problem_with_answer(row["answer"].get<std::string>());
    const Response responses[] = {{&problem, zero_text, true},
                                  {&problem, second_text, true},
                                  {&problem, *problem.answer, true}};
    const auto verdicts = verifier->verify(responses);
    zeros += verdicts[0].score;
    seconds += verdicts[1].score;
    right += verdicts[2].score;
    exact += verdicts[2].correct;
  }
  ASSERT_EQ(count, 200);
  EXPECT_NEAR(zeros / 200, 0.63398214, 1e-6);  // computed by a separate script
  EXPECT_NEAR(seconds / 200, 0.66935714, 1e-6);
  EXPECT_EQ(right, 200);
  EXPECT_EQ(exact, 200);
}

}  // namespace
}  // namespace treepo
