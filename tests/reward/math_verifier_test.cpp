#include "reward/math_verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <future>

#include "base/json.h"
#include "reward/judge.h"
#include "reward/plain_math.h"
#include "support/assets.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

RewardOptions math_options(const std::string& kind = "math", double timeout_s = 120) {
  RewardOptions options = reward_kind(kind);
  options.timeout_s = timeout_s;  // of a loaded machine
  return options;
}

TEST(MathVerifier, FindsEqualAnswersInOtherForms) {
  const auto verifier = make_verifier(math_options());
  const auto judge = [&](const std::string& gold, std::string_view text) {
    const Problem problem = problem_with_answer(gold);
    return judge_one(*verifier, problem, text);
  };
  EXPECT_TRUE(judge("\\frac{\\sqrt{3}}{2}", "so \\boxed{\\sqrt{3}/2}.").correct);
  EXPECT_TRUE(judge("x^2+2x+1", "thus $\\boxed{(x+1)^2}$").correct);
  EXPECT_TRUE(judge("$\\{1,2\\}$", "\\boxed{2, 1}").correct) << "a reference in dollars";
  EXPECT_TRUE(judge("12", "the answer is 12").correct) << "without a box";
  EXPECT_FALSE(judge("12", "\\boxed{13}").correct);
  EXPECT_EQ(judge("12", "\\boxed{13}").reason, "wrong answer");
  EXPECT_EQ(judge("12", "I don't know").reason, "no answer");
  EXPECT_EQ(judge("12", "").reason, "no answer");
  EXPECT_EQ(judge("12", "I don't know").answer, std::nullopt);
}

TEST(MathVerifier, StrictlyBoxedNeedsABox) {
  const auto verifier = make_verifier(math_options("math:boxed"));
  const Problem problem = problem_with_answer("12");
  EXPECT_TRUE(judge_one(*verifier, problem, "so $\\boxed{12}$ it is").correct);
  EXPECT_TRUE(judge_one(*verifier, problem,
                        "\\boxed{7}, no, this is wrong, I think it is rather "
                        "something else: \\boxed{\\frac{24}{2}} = 12 = 7")
                  .correct);
  EXPECT_FALSE(judge_one(*verifier, problem, "the answer is 12").correct);
  EXPECT_FALSE(judge_one(*verifier, problem,
                         "\\boxed{12} or rather, after some more thinking about "
                         "this whole question, \\boxed{x+1}")
                   .correct);
}

// Equal texts are equal answers; what is equal beyond that equivalent() tells.
TEST(MathVerifier, AnswersAreCanonicalWhereThatIsCheap) {
  const auto verifier = make_verifier(math_options());
  const Problem problem = problem_with_answer("1/2");
  for (const char* text : {"\\boxed{\\frac{1}{2}}", "\\boxed{0.5}", "the answer is $\\frac{2}{4}$.",
                           "$\\boxed{1/2}$ is it, for 2 \\cdot 0.5 is 1"})
    EXPECT_EQ(judge_one(*verifier, problem, text).answer, "1/2") << text;
  EXPECT_EQ(judge_one(*verifier, problem, "so \\boxed{ x + 1 } ").answer, "x + 1");
}

TEST(MathVerifier, TellsEquivalentAnswers) {
  const auto verifier = make_verifier(math_options());
  const std::vector<Verifier::AnswerPair> pairs = {
      {"1/2", "1/2"}, {"1/2", "1/3"},     {"1/3", "0.333333"},
      {"x+1", "1+x"}, {"x+1", "x+2"},     {"1,2", "2,1"},
      {"3", "3.0"},   {"(x+1)^2", "x+1"}, {"\\sqrt{2}/2", "\\frac{1}{\\sqrt{2}}"}};
  EXPECT_EQ(verifier->equivalent(pairs),
            (std::vector<bool>{true, false, true, true, false, true, true, false, true}));
}

TEST(MathVerifier, RefusesProblemsWithoutAnswer) {
  const auto verifier = make_verifier(math_options());
  EXPECT_THAT(error_of([&] { verifier->check(problem_with_answer(std::nullopt)); }),
              HasSubstr("data.jsonl, line 7: problem \"p7\" has no answer"));
  EXPECT_THAT(error_of([&] { verifier->check(problem_with_answer(" ")); }),
              HasSubstr("has an empty answer"));
}

TEST(MathVerifier, EndsWhatTakesTooLong) {
  RewardOptions options = math_options("math", 2);
  options.failure = -1;
  options.worker_memory_mib = 0;
  const auto verifier = make_verifier(options);
  const Problem problem = problem_with_answer("7");
  const std::string long_latex = "$" + std::string(1 << 20, '{') + "\\frac{1}{";
  const std::string texts[] = {"\\boxed{10^{10^{10}}}", "\\boxed{\\frac{1}{", long_latex,
                               "\\boxed{7} "};
  std::vector<Response> responses;
  for (const std::string& text : texts) responses.push_back({&problem, text, true});
  const auto verdicts = verifier->verify(responses);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(verdicts[i].score, -1) << i;
  EXPECT_EQ(verdicts[3].score, 1);
}

TEST(MathVerifier, NamesThePackageThatIsMissing) {
  TemporaryDirectory directory;  // an environment without packages
  ASSERT_EQ(
      std::system(("python3 -m venv --without-pip " + directory / "env" + " >/dev/null").c_str()),
      0);
  ::setenv("TREEPO_PYTHON", (directory / "env/bin/python").c_str(), 1);
  const std::string error = error_of([] { make_verifier(math_options()); });
  ::unsetenv("TREEPO_PYTHON");
  EXPECT_THAT(error, AllOf(HasSubstr("has no package math_verify"),
                           HasSubstr("scripts/bootstrap --workers"),
                           HasSubstr("pip install 'math-verify[antlr4_13_2]==0.9.0'")));
}

struct OracleCase {
  std::string gold, response;
  bool expected;
};

std::vector<OracleCase> generated_cases(const std::string& path) {
  std::vector<OracleCase> cases;
  JsonLineReader reader(path);
  for (Json row; reader.next(row);) cases.push_back({row["gold"], row["pred"], row["expected"]});
  return cases;
}

// Verdicts of math-verify 0.9.0 on rewritten and wrong answers: all of them, and those that are
// decided without a worker among them.
TEST(MathVerifier, GivesTheVerdictsOfMathVerify) {
  const std::string path = std::string(TREEPO_ASSETS) + "/oracles/math-answers/generated.jsonl";
  if (!file_system().exists(path)) GTEST_SKIP() << no_assets();
  const std::vector<OracleCase> cases = generated_cases(path);
  ASSERT_EQ(cases.size(), 3328u);
  std::vector<Problem> problems;
  for (const OracleCase& c : cases) problems.push_back(problem_with_answer(c.gold));
  std::vector<Response> responses;
  for (size_t i = 0; i < cases.size(); ++i)
    responses.push_back({&problems[i], cases[i].response, true});
  const auto verdicts = make_verifier(math_options())->verify(responses);
  int plain = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(verdicts[i].correct, cases[i].expected)
        << cases[i].gold << " | " << cases[i].response << " | " << verdicts[i].reason;
    plain += plain_answer(cases[i].response) && parse_plain_number(cases[i].gold);
  }
  EXPECT_GT(plain, 100) << "the quick path is tried too";
}

// The other files' cases, labelled by their authors: here what matters is that no plain one is
// decided otherwise than math-verify does.
TEST(MathVerifier, PlainCasesOfAllFilesAreMathVerifysToo) {
  const std::string folder = std::string(TREEPO_ASSETS) + "/oracles/math-answers";
  if (!file_system().exists(folder)) GTEST_SKIP() << no_assets();
  std::vector<Json> requests;
  std::vector<bool> decided;
  for (const std::string& name : file_system().list(folder)) {
    if (!name.ends_with(".jsonl") || name == "generated.jsonl") continue;
    JsonLineReader reader(join_path(folder, name));
    for (Json row; reader.next(row);) {
      if (!has_key(row, "gold")) continue;
      const auto gold = parse_plain_number(row["gold"].get<std::string>());
      const auto said = plain_answer(row["pred"].get<std::string>());
      const auto equal = gold && said ? plain_equal(*gold, *said) : std::nullopt;
      if (!equal) continue;
      decided.push_back(*equal);
      requests.push_back(Json{{"gold", row["gold"]}, {"response", row["pred"]}});
    }
  }
  PythonWorkers workers({.workers = 2, .timeout_s = 120});
  const auto replies = workers.call("math", requests);
  for (size_t i = 0; i < replies.size(); ++i)
    EXPECT_EQ(replies[i].value["correct"], decided[i]) << requests[i];
  EXPECT_GT(requests.size(), 0u);
}

}  // namespace
}  // namespace treepo
