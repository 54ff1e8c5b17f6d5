#include "reward/sum_verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reward/judge.h"

namespace treepo {
namespace {

using testing::ElementsAre;

constexpr const char* kGood = "<think>so</think><answer>7</answer>";
constexpr const char* kWrong = "<think>so</think><answer>8</answer>";
constexpr const char* kBare = "7";

TEST(SumVerifier, AddsWeightedScores) {
  const RewardOptions options = reward_parts({"0.9*numeric", "0.1*tags:think,answer"});
  const Verdict good = judge_one(options, "7", kGood);
  EXPECT_DOUBLE_EQ(good.score, 1.0);
  EXPECT_THAT(good.parts, ElementsAre(1, 1));
  EXPECT_EQ(good.reason, "numeric: right; tags: all tags");
  EXPECT_EQ(good.answer, "7");
  EXPECT_DOUBLE_EQ(judge_one(options, "7", kWrong).score, 0.1);
  EXPECT_DOUBLE_EQ(judge_one(options, "7", kBare).score, 0.9);
}

// Accuracy counts answers, not their form.
TEST(SumVerifier, CorrectIsWhatTheAnswerIs) {
  const RewardOptions options = reward_parts({"numeric", "0.1*tags:think,answer"});
  EXPECT_TRUE(judge_one(options, "7", kGood).correct);
  EXPECT_TRUE(judge_one(options, "7", kBare).correct);
  EXPECT_FALSE(judge_one(options, "7", kWrong).correct);
  EXPECT_TRUE(judge_one(reward_kind("tags:think,answer"), "7", kWrong).correct);
  EXPECT_FALSE(judge_one(reward_kind("tags:think,answer"), "7", kBare).correct);
}

TEST(SumVerifier, AGateThatIsNotPassedGivesTheFailureValue) {
  const RewardOptions options = reward_parts({"numeric", "gate tags:think,answer"}, -0.5);
  EXPECT_EQ(judge_one(options, "7", kGood).score, 1);
  const Verdict bare = judge_one(options, "7", kBare);
  EXPECT_EQ(bare.score, -0.5);
  EXPECT_FALSE(bare.correct);
  EXPECT_THAT(bare.parts, ElementsAre(1, 0)) << "parts are logged as they are";
}

TEST(SumVerifier, WrongAnswersAreWorthTheFailureValue) {
  const auto with_failure = [](std::string kind) {
    RewardOptions options = reward_kind(kind);
    options.failure = -1;
    return options;
  };
  EXPECT_EQ(judge_one(with_failure("numeric"), "7", kWrong).score, -1);
  EXPECT_EQ(judge_one(with_failure("exact"), "7", "").score, -1);
  EXPECT_DOUBLE_EQ(judge_one(with_failure("digits"), "7,8", "7,9").score, 0.75) << "a degree";
  EXPECT_EQ(judge_one(with_failure("length:3"), "7", "too long").score, 0) << "form";
  EXPECT_DOUBLE_EQ(
      judge_one(reward_parts({"0.9*numeric", "0.1*tags:think,answer"}, -1), "7", kWrong).score,
      -0.8);
}

TEST(SumVerifier, NamesItsParts) {
  EXPECT_THAT(make_verifier(reward_parts({"numeric", "length:5", "length:9"}))->part_names(),
              ElementsAre("numeric", "length", "length_2"));
}

// start() begins all parts; the verdicts are the same whenever they are asked for.
TEST(SumVerifier, StartedVerdictsCanBeFetchedLater) {
  const auto verifier = make_verifier(reward_kind("numeric"));
  const Problem problem = problem_with_answer("7");
  Verifier::Pending first, second;
  {
    const std::vector<Response> responses = {{&problem, "7"}, {&problem, "8"}};
    first = verifier->start(responses);
    second = verifier->start(std::span(responses).subspan(1));
  }
  EXPECT_FALSE(second().at(0).correct);
  EXPECT_TRUE(first().at(0).correct);
}

}  // namespace
}  // namespace treepo
