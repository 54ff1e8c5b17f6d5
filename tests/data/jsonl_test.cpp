#include "data/jsonl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class JsonlTest : public ::testing::Test {
 protected:
  std::vector<Problem> read(std::string_view content) {
    write_file_atomically(path_, content);
    return read_problems(path_);
  }
  std::string error(std::string_view content) {
    return error_of([&] { read(content); });
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_ / "p.jsonl";
};

TEST_F(JsonlTest, ReadsEveryForm) {
  const auto problems = read(
      "{\"prompt\": \"7,7:9,4\", \"answer\": \"7,7,7,7\"}\n"
      "\n"
      "{\"id\": \"b\", \"ids\": [5, 17, 0, 2147483647], \"answer\": \"\", \"level\": 3}\r\n"
      "{\"id\": 60, \"prompt\": \"\\u00e9\\n\", \"answer\": 27.0}\n"
      "{\"id\": null, \"prompt\": \"\", \"ids\": null, \"answer\": null}");
  ASSERT_EQ(problems.size(), 4u);
  EXPECT_EQ(problems[0].prompt, "7,7:9,4");
  EXPECT_EQ(problems[0].answer, "7,7,7,7");
  EXPECT_EQ(problems[0].id, "1");
  EXPECT_TRUE(problems[0].ids.empty());
  EXPECT_EQ(problems[0].where, path_ + ", line 1");
  EXPECT_EQ(problems[1].id, "b");
  EXPECT_EQ(problems[1].ids, (std::vector<int32_t>{5, 17, 0, 2147483647}));
  EXPECT_EQ(problems[1].answer, "") << "an answer, though empty";
  EXPECT_EQ(problems[1].where, path_ + ", line 3") << "blank lines count";
  EXPECT_EQ(problems[2].id, "60");
  EXPECT_EQ(problems[2].prompt, "\u00e9\n");
  EXPECT_EQ(problems[2].answer, "27.0");
  EXPECT_EQ(problems[3].id, "5");
  EXPECT_EQ(problems[3].prompt, "");
  EXPECT_EQ(problems[3].answer, std::nullopt);
}

TEST_F(JsonlTest, ReadsLongLines) {
  const std::string prompt(3'000'000, 'x');
  EXPECT_EQ(read("{\"prompt\": \"" + prompt + "\"}").at(0).prompt, prompt);
}

// Each bad row stands on line 3 behind two good ones: the error names file and line.
TEST_F(JsonlTest, NamesFileAndLineOfABadRow) {
  const std::pair<std::string, std::string> rows[] = {
      {"not json", "not valid JSON"},
      {"{\"prompt\": \"a\"", "not valid JSON"},
      {"{\"prompt\": \"a", "not valid JSON"},
      {"{\"prompt\": \"a\"} {\"prompt\": \"b\"}", "not valid JSON"},
      {"{\"prompt\": \"a\"},", "not valid JSON"},
      {"{'prompt': 'a'}", "not valid JSON"},
      {"{\"prompt\": \"\xff\xfe\"}", "not valid JSON"},
      {"{\"prompt\": \"\\ud800\"}", "not valid JSON"},
      {std::string("{\"prompt\": \"a\0\"}", 16), "not valid JSON"},
      {"{\"prompt\": \"a\", \"answer\": NaN}", "not valid JSON"},
      {"{\"prompt\": \"a\", \"answer\": 1e999}", "not valid JSON"},
      {std::string(300, '[') + std::string(300, ']'), "nested deeper"},
      {"[{\"prompt\": \"a\"}]", "a JSON object was expected"},
      {"\"prompt\"", "a JSON object was expected"},
      {"null", "a JSON object was expected"},
      {"{}", "neither \"prompt\" nor \"ids\""},
      {"{\"promt\": \"a\"}", "neither \"prompt\" nor \"ids\""},
      {"{\"prompt\": null}", "neither \"prompt\" nor \"ids\""},
      {"{\"prompt\": \"a\", \"ids\": [1]}", "both \"prompt\" and \"ids\""},
      {"{\"prompt\": 3}", "\"prompt\" must be a string"},
      {"{\"prompt\": [\"a\"]}", "\"prompt\" must be a string"},
      {"{\"ids\": \"1 2\"}", "\"ids\" must be an array"},
      {"{\"ids\": []}", "\"ids\" is empty"},
      {"{\"ids\": [1, \"2\"]}", "\"ids\"[1] must be an integer"},
      {"{\"ids\": [1, 2.5]}", "\"ids\"[1] must be an integer"},
      {"{\"ids\": [[1]]}", "\"ids\"[0] must be an integer"},
      {"{\"ids\": [null]}", "\"ids\"[0] must be an integer"},
      {"{\"ids\": [1, -1]}", "\"ids\"[1] is -1, which is no token id"},
      {"{\"ids\": [2147483648]}", "\"ids\"[0] is 2147483648, which is no token id"},
      {"{\"prompt\": \"a\", \"answer\": true}", "\"answer\" must be a string or a number"},
      {"{\"prompt\": \"a\", \"answer\": [\"1\"]}", "\"answer\" must be a string or a number"},
      {"{\"prompt\": \"a\", \"id\": 1.5}", "\"id\" must be a string or an integer"},
      {"{\"prompt\": \"a\", \"id\": {}}", "\"id\" must be a string or an integer"},
  };
  for (const auto& [row, what] : rows) {
    EXPECT_THAT(
        error("{\"prompt\": \"1\"}\n{\"prompt\": \"2\"}\n" + row + "\n{\"prompt\": \"4\"}\n"),
        AllOf(HasSubstr(path_ + ", line 3: "), HasSubstr(what)))
        << row;
  }
}

TEST_F(JsonlTest, RefusesFilesWithoutProblems) {
  for (const std::string_view content : {"", "\n", " \r\n\t\n"})
    EXPECT_THAT(error(content), HasSubstr(path_ + " holds no problems"));
  EXPECT_THAT(error_of([&] { read_problems(directory_ / "absent.jsonl"); }),
              HasSubstr("absent.jsonl"));
  EXPECT_THAT(error_of([&] { read_problems(directory_.path()); }), HasSubstr(directory_.path()));
}

TEST_F(JsonlTest, NamesBothLinesOfADuplicateId) {
  EXPECT_THAT(error("{\"prompt\": \"1\", \"id\": \"x\"}\n\n{\"prompt\": \"2\"}\n"
                    "{\"prompt\": \"3\", \"id\": \"x\"}\n"),
              HasSubstr(path_ + ": lines 1 and 4 have the same id \"x\""));
  EXPECT_THAT(error("{\"prompt\": \"1\", \"id\": 2}\n{\"prompt\": \"2\"}\n"),
              HasSubstr("lines 1 and 2 have the same id \"2\""));
}

// Every prefix of a good file is read or refused with its name, never anything else.
TEST_F(JsonlTest, SurvivesTruncationAtEachByte) {
  const std::string content =
      "{\"prompt\": \"7,7:9,4\", \"answer\": \"7\"}\n{\"id\": \"b\", \"ids\": [5, 17]}\n";
  for (size_t size = 0; size < content.size(); ++size) {
    try {
      EXPECT_LE(read(content.substr(0, size)).size(), 2u);
    } catch (const Error& failure) {
      EXPECT_THAT(failure.what(), HasSubstr(path_));
    }
  }
}

}  // namespace
}  // namespace treepo
