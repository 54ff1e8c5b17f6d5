#include "evaluate/answer_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(AnswerLog, ALineComesBackAsItWas) {
  LoggedProblem problem{.source = "math500",
                        .id = "7",
                        .greedy = true,
                        .answers = {},
                        .prompt_tokens = 91,
                        .unique_tokens = 812,
                        .seconds = 0.1};
  problem.answers.push_back({.text = "zw\xc3\xb6lf",
                             .tokens = 3,
                             .stop = "eos",
                             .finished = true,
                             .sample = {.score = 0.25, .correct = true, .answer = "12"},
                             .reason = "right"});
  problem.answers.push_back(
      {.text = "", .tokens = 0, .stop = "length", .sample = {}, .reason = "none"});
  const LoggedProblem read =
      parse_logged(Json::parse(dump_json(logged_json(problem))), "log, line 1");
  EXPECT_EQ(dump_json(logged_json(read)), dump_json(logged_json(problem)));
  EXPECT_EQ(read.answers[0].sample.answer, "12");
  EXPECT_FALSE(read.answers[1].sample.answer);
  EXPECT_TRUE(read.greedy);
}

TEST(AnswerLog, SaysWhichKeyIsMissingAndWhere) {
  EXPECT_THAT(
      error_of([] { parse_logged(Json::parse(R"({"source":"a","id":"1"})"), "f, line 3"); }),
      AllOf(HasSubstr("f, line 3"), HasSubstr("greedy")));
}

}  // namespace
}  // namespace treepo
