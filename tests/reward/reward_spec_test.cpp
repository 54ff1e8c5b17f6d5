#include "reward/reward_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reward/judge.h"
#include "support/expect_error.h"

namespace treepo {
namespace {

using testing::HasSubstr;

RewardPart only(const std::string& text) {
  return parse_parts({text}, "--reward").at(0);
}

TEST(RewardSpec, ReadsWeightNameAndArgument) {
  const RewardPart plain = only("math");
  EXPECT_EQ(plain.name, "math");
  EXPECT_EQ(plain.argument, "");
  EXPECT_EQ(plain.weight, 1);
  EXPECT_FALSE(plain.gate);
  EXPECT_EQ(only("0.9*math").weight, 0.9);
  EXPECT_EQ(only("-2e-1 * repetition:4").weight, -0.2);
  EXPECT_EQ(only("-0.2*repetition:4").argument, "4");
}

// A regular expression may hold what parts are written with.
TEST(RewardSpec, TheArgumentIsTakenAsItIs) {
  EXPECT_EQ(only("format:^a*b: c$").argument, "^a*b: c$");
  EXPECT_EQ(only("format:^a*b: c$").weight, 1);
  EXPECT_EQ(only("0.5*format:.*x").argument, ".*x");
  EXPECT_EQ(only("python:dir/my file.py:score").argument, "dir/my file.py:score");
}

TEST(RewardSpec, LabelsOfOneNameDiffer) {
  const auto parts = parse_parts({"math", "format:a", "gate format:b"}, "reward.parts");
  EXPECT_EQ(parts[0].label, "math");
  EXPECT_EQ(parts[1].label, "format");
  EXPECT_EQ(parts[2].label, "format_2");
  EXPECT_TRUE(parts[2].gate);
}

TEST(RewardSpec, RefusesWhatItCannotRead) {
  EXPECT_THAT(error_of([] { only("much*math"); }), HasSubstr("a weight that is no number"));
  EXPECT_THAT(error_of([] { only("nan*math"); }), HasSubstr("a weight that is no number"));
  EXPECT_THAT(error_of([] { only(""); }), HasSubstr("names no verifier"));
  EXPECT_THAT(error_of([] { only("0.5*"); }), HasSubstr("names no verifier"));
  EXPECT_THAT(error_of([] { only("gate tags:a"); }), HasSubstr("a gate alone gives no reward"));
  EXPECT_THAT(error_of([] { make_verifier(reward_parts({"0.5*maths"})); }),
              HasSubstr("unknown verifier in reward.parts \"maths\""));
}

TEST(RewardSpec, RefusesArgumentsThatNoRuleTakes) {
  for (const char* kind : {"exact:x",           "carry:x",        "digits:x",
                           "numeric:x",         "numeric:rel=-1", "numeric:abs=nan",
                           "multiple_choice:7", "countdown:all",  "format",
                           "format:(",          "tags",           "tags:a,,b",
                           "tags:<a>",          "length",         "length:9..3",
                           "length:-1",         "repetition:0",   "repetition:x",
                           "python:f",          "math:strict"})
    EXPECT_THAT(error_of([&] { make_verifier(reward_kind(kind)); }),
                HasSubstr(std::string(kind).substr(0, 4)))
        << kind;
}

}  // namespace
}  // namespace treepo
