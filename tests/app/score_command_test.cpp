#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "app/command_line.h"
#include "app/run_program.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(ScoreCommand, ReadsStandardInputAndReportsItsSpeed) {
  const ProgramResult result =
      run_program({"score", "--reward", "numeric"},
                  "{\"prompt\": \"2+3\", \"response\": \"= 5\", \"answer\": \"5\"}\n{\"response\": "
                  "\"6\", \"answer\": \"5\"}\n");
  EXPECT_EQ(result.code, kExitSuccess) << result.err;
  EXPECT_EQ(result.out,
            "{\"reward\":1.0,\"reason\":\"right\",\"parts\":{\"numeric\":1.0}}\n"
            "{\"reward\":0.0,\"reason\":\"wrong value\",\"parts\":{\"numeric\":0.0}}\n");
  EXPECT_THAT(result.err, AllOf(HasSubstr("2 responses, 50.0 % correct"), HasSubstr("answers/s")));
}

TEST(ScoreCommand, AddsPartsUp) {
  TemporaryDirectory folder;
  write_text(folder / "in", "{\"response\": \"7 7\", \"answer\": \"7\"}\n");
  const ProgramResult result = run_program(
      {"score", "--reward", "math", "--reward", "-0.5*repetition:1", "--reward", "gate length:2",
       "--set", "reward.failure=-1", "--in", folder / "in", "--out", folder / "out", "--quiet"});
  EXPECT_EQ(result.code, kExitSuccess) << result.err;
  EXPECT_THAT(read_text(folder / "out"),
              AllOf(HasSubstr("\"reward\":-1.0"), HasSubstr("\"repetition\":0.5")));
  EXPECT_EQ(result.err, "");
}

TEST(ScoreCommand, WhatIsWrongIsNamed) {
  const auto error = [](Words arguments, const std::string& input) {
    const ProgramResult result = run_program(std::move(arguments), input);
    EXPECT_EQ(result.code, kExitError);
    return result.err;
  };
  EXPECT_THAT(error({"score", "--reward", "maths"}, ""), HasSubstr("\"maths\""));
  EXPECT_THAT(error({"score", "--reward", "numeric"}, "{\"response\": NaN}\n"),
              HasSubstr("line 1"));
  EXPECT_THAT(error({"score", "--reward", "numeric"}, "{\"response\": \"7\"}\n"),
              HasSubstr("has no answer"));
  EXPECT_THAT(error({"score", "--set", "reward.parts=[\"math\"]"}, ""),
              HasSubstr("reward.parts is for reward.kind"));
}

// Each of these would go on for hours, or take all memory.
TEST(ScoreCommand, HangingAnswersCostTheirTime) {
  TemporaryDirectory folder;
  write_text(folder / "rewards.py",
             "import time\ndef score(prompt, response, row):\n"
             "    while response == 'hang': pass\n"
             "    return 2 * 10 ** 10 ** 10 if response == 'power' else 0.5\n");
  std::string input;
  for (const char* text : {"a", "hang", "power", "b"})
    input += std::string("{\"response\": \"") + text + "\"}\n";
  const ProgramResult result =
      run_program({"score", "--reward", "python:" + folder / "rewards.py" + ":score", "--set",
                   "reward.timeout_s=2", "--set", "reward.failure=-1"},
                  input);
  EXPECT_EQ(result.code, kExitSuccess) << result.err;
  std::istringstream lines(result.out);
  for (const char* reward : {"0.5", "-1.0", "-1.0", "0.5"}) {
    std::string line;
    std::getline(lines, line);
    EXPECT_THAT(line, HasSubstr(std::string("{\"reward\":") + reward + ","));
  }
  EXPECT_THAT(result.err, HasSubstr("not judged"));
}

}  // namespace
}  // namespace treepo
