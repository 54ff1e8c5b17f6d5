#include "reward/score_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "reward/judge.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ScoreLinesTest : public testing::Test {
 protected:
  std::vector<std::string> score(const std::string& input, const RewardOptions& options) {
    std::ofstream(file_) << input;
    std::vector<std::string> lines;
    counts_ = score_lines(file_, *make_verifier(options),
                          [&](const std::string& line) { lines.push_back(line); });
    return lines;
  }

  TemporaryDirectory directory_;
  std::string file_ = directory_ / "in.jsonl";
  ScoreCounts counts_;
};

TEST_F(ScoreLinesTest, WritesALineForEachInOrder) {
  const auto lines = score(R"({"prompt": "2+3=", "response": "5", "answer": "5"}

{"response": "6", "answer": 5, "id": "b"}
{"response": "", "answer": "5", "id": "b"}
)",
                           reward_parts({"numeric", "0.5*length:9"}));
  EXPECT_THAT(
      lines,
      ElementsAre(
          R"({"reward":1.5,"reason":"numeric: right; length: 1 characters","parts":{"numeric":1.0,"length":1.0}})",
          R"({"id":"b","reward":0.5,"reason":"numeric: wrong value; length: 1 characters","parts":{"numeric":0.0,"length":1.0}})",
          R"({"id":"b","reward":0.5,"reason":"numeric: no number; length: 0 characters","parts":{"numeric":0.0,"length":1.0}})"));
  EXPECT_EQ(counts_.responses, 3);
  EXPECT_EQ(counts_.correct, 1);
  EXPECT_DOUBLE_EQ(counts_.reward, 2.5);
}

TEST_F(ScoreLinesTest, ManyLinesKeepTheirOrder) {
  std::string input;
  for (int i = 0; i < 3000; ++i)
    input += Json{{"response", std::to_string(i)}, {"answer", "0"}, {"id", i}}.dump() + "\n";
  const auto lines = score(input, reward_kind("numeric"));
  ASSERT_EQ(lines.size(), 3000u);
  for (int i = 0; i < 3000; ++i)
    ASSERT_THAT(lines[i], HasSubstr("{\"id\":" + std::to_string(i) + ",")) << i;
}

TEST_F(ScoreLinesTest, NamesTheLineThatIsWrong) {
  const RewardOptions options = reward_kind("numeric");
  EXPECT_THAT(error_of([&] { score("{\"response\": \"5\", \"answer\": \"5\"}\n[1]\n", options); }),
              HasSubstr("in.jsonl, line 2: a JSON object was expected"));
  EXPECT_THAT(error_of([&] { score("{\"answer\": \"5\"}\n", options); }),
              HasSubstr("line 1: \"response\""));
  EXPECT_THAT(error_of([&] { score("{\"response\": \"5\"}\n", options); }),
              HasSubstr("line 1: problem \"1\" has no answer"));
  EXPECT_THAT(error_of([&] { score("{\"response\": \"5\", \"answer\": []}\n", options); }),
              HasSubstr("line 1: \"answer\" must be a text or a number"));
  EXPECT_TRUE(score("", options).empty());
}

}  // namespace
}  // namespace treepo
