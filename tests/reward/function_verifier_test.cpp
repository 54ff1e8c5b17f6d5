#include "reward/function_verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "reward/judge.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr std::string_view kRewards = R"(
import os, time
def number(prompt, response, row): return len(response) / 4
def truth(prompt, response, row): return response == row["answer"]
def full(prompt, response, row):
    return {"score": 0.25, "correct": True, "answer": response.upper(), "reason": prompt + row["level"]}
def wrong(prompt, response, row): return {"bad": None, "nan": float("nan"), "text": "1", "object": object()}[response]
def crash(prompt, response, row):
    if response == "raise": raise KeyError("no such key")
    if response == "exit": os._exit(1)
    if response == "hang": time.sleep(1000)
    return 1
)";

class FunctionVerifierTest : public testing::Test {
 protected:
  FunctionVerifierTest() {
    std::ofstream(file_) << kRewards;
    problem_.row = R"({"level": "5", "answer": "ab"})";
  }

  RewardOptions options(const std::string& function) const {
    RewardOptions options = reward_kind("python:" + file_ + ":" + function);
    options.failure = -1;
    options.timeout_s = 2;
    options.worker_memory_mib = 0;
    return options;
  }
  Verdict judge(const std::string& function, std::string_view text) {
    return judge_one(*make_verifier(options(function)), problem_, text);
  }

  TemporaryDirectory directory_;
  std::string file_ = directory_ / "rewards.py";
  Problem problem_ = problem_with_answer("ab");
};

TEST_F(FunctionVerifierTest, TakesNumbersAndTruthValues) {
  EXPECT_DOUBLE_EQ(judge("number", "abc").score, 0.75);
  EXPECT_TRUE(judge("number", "abc").correct) << "above 0";
  EXPECT_FALSE(judge("number", "").correct);
  EXPECT_EQ(judge("truth", "ab").score, 1);
  EXPECT_EQ(judge("truth", "a").score, 0) << "a function's 0 is its own, no failure";
}

// Whoever asks for verdicts may know whether they are waited for; whether a worker was quick does
// not count.
TEST_F(FunctionVerifierTest, TellsWhetherVerdictsAreKnown) {
  RewardOptions function = options("number"), sum = function, exact = function;
  sum.parts = {"1*exact", "1*" + function.kind};
  sum.kind = "parts";
  exact.kind = "exact";
  const Response response{.problem = &problem_, .text = "abcd"};
  for (const RewardOptions& reward : {function, sum, exact}) {
    const std::unique_ptr<Verifier> verifier = make_verifier(reward);
    const Verifier::Pending pending = verifier->start({&response, 1});
    EXPECT_EQ(pending.known(), reward.kind == "exact") << reward.kind;
    pending();
    EXPECT_EQ(pending.known(), reward.kind == "exact") << reward.kind;
    EXPECT_TRUE(verifier->start({}).known());
  }
}

TEST_F(FunctionVerifierTest, TakesDicts) {
  const Verdict verdict = judge("full", "x");
  EXPECT_DOUBLE_EQ(verdict.score, 0.25);
  EXPECT_TRUE(verdict.correct);
  EXPECT_EQ(verdict.answer, "X");
  EXPECT_EQ(verdict.reason, "?5") << "prompt and row arrive";
}

TEST_F(FunctionVerifierTest, FailuresNameFunctionAndRowAndCostTheResponse) {
  testing::internal::CaptureStderr();
  const auto verifier = make_verifier(options("crash"));
  std::vector<Response> responses;
  for (const char* text : {"raise", "exit", "fine", "hang", "fine"})
    responses.push_back({&problem_, text, true});
  const auto verdicts = verifier->verify(responses);
  const std::string log = testing::internal::GetCapturedStderr();
  const VerifierFailure failures[] = {VerifierFailure::error, VerifierFailure::died,
                                      VerifierFailure::none, VerifierFailure::timed_out,
                                      VerifierFailure::none};
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(verdicts[i].failure, failures[i]) << i;
    EXPECT_EQ(verdicts[i].score, failures[i] == VerifierFailure::none ? 1 : -1) << i;
  }
  EXPECT_THAT(log, AllOf(HasSubstr("rewards.py:crash on data.jsonl, line 7"),
                         HasSubstr("KeyError: 'no such key'"), HasSubstr("line ")));
}

TEST_F(FunctionVerifierTest, WrongReturnsAreFailures) {
  for (const char* text : {"bad", "nan", "text", "object"}) {
    testing::internal::CaptureStderr();
    const Verdict verdict = judge("wrong", text);
    EXPECT_EQ(verdict.failure, VerifierFailure::error) << text;
    EXPECT_THAT(testing::internal::GetCapturedStderr(),
                AllOf(HasSubstr("rewards.py:wrong"), HasSubstr("data.jsonl, line 7")));
  }
}

TEST_F(FunctionVerifierTest, AFunctionThatNeverReturnsARewardEndsTheRun) {
  const auto verifier = make_verifier(options("wrong"));
  const std::vector<Response> responses(100, {&problem_, "text", true});
  EXPECT_THAT(error_of([&] { verifier->verify(responses); }),
              AllOf(HasSubstr("100 errors and no success"), HasSubstr("returned \"1\"")));
}

TEST_F(FunctionVerifierTest, MissingFunctionsAreFoundAtTheStart) {
  EXPECT_THAT(error_of([&] { make_verifier(options("nothing")); }),
              HasSubstr("has no function nothing"));
  EXPECT_THAT(error_of([&] { make_verifier(reward_kind("python:nowhere.py:f")); }),
              HasSubstr("there is no file"));
}

}  // namespace
}  // namespace treepo
