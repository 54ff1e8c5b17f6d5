#include "data/problem_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ProblemRowsTest : public ::testing::Test {
 protected:
  std::vector<Problem> read(std::string_view content) {
    write_file_atomically(path_, content);
    return read_file_as_it_is();
  }
  std::vector<Problem> read_file_as_it_is() {
    report_ = {};
    std::vector<Problem> problems;
    for (SourceRow& row : read_source(parse_source(source_), options_, report_)) {
      chats_.push_back(row.chat);
      problems.push_back(std::move(row.problem));
    }
    return problems;
  }
  std::string error(std::string_view content) {
    return error_of([&] { read(content); });
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_ / "p.jsonl";
  std::string source_ = path_;
  DataOptions options_;
  SourceReport report_;
  std::vector<std::string> chats_;
};

TEST_F(ProblemRowsTest, ReadsEveryForm) {
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

TEST_F(ProblemRowsTest, ReadsLongLines) {
  const std::string prompt(3'000'000, 'x');
  EXPECT_EQ(read("{\"prompt\": \"" + prompt + "\"}").at(0).prompt, prompt);
}

// Each bad row stands on line 3 behind two good ones: the error names file and line.
TEST_F(ProblemRowsTest, NamesFileAndLineOfABadRow) {
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
      {"{\"prompt\": 3}", "\"prompt\" must be a string or a chat"},
      {"{\"prompt\": [\"a\"]}", "\"prompt\" must be a string or a chat"},
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

TEST_F(ProblemRowsTest, RefusesFilesWithoutProblems) {
  for (const std::string_view content : {"", "\n", " \r\n\t\n"})
    EXPECT_THAT(error(content), HasSubstr(path_ + " holds no problems"));
  source_ = directory_ / "absent.jsonl";
  EXPECT_THAT(error_of([&] { read_file_as_it_is(); }), HasSubstr("absent.jsonl"));
  source_ = directory_.path();
  EXPECT_THAT(error_of([&] { read_file_as_it_is(); }),
              AllOf(HasSubstr(directory_.path()), HasSubstr("is a folder")));
}

TEST_F(ProblemRowsTest, NamesBothLinesOfADuplicateId) {
  EXPECT_THAT(error("{\"prompt\": \"1\", \"id\": \"x\"}\n\n{\"prompt\": \"2\"}\n"
                    "{\"prompt\": \"3\", \"id\": \"x\"}\n"),
              HasSubstr(path_ + ": lines 1 and 4 have the same id \"x\""));
  EXPECT_THAT(error("{\"prompt\": \"1\", \"id\": 2}\n{\"prompt\": \"2\"}\n"),
              HasSubstr("lines 1 and 2 have the same id \"2\""));
}

// Every prefix of a good file is read or refused with its name, never anything else.
TEST_F(ProblemRowsTest, SurvivesTruncationAtEachByte) {
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

// One bad row of each kind among good ones: with "skip" the rest is read, and each is counted.
TEST_F(ProblemRowsTest, BadRowsAreSkippedAndCounted) {
  options_.bad_rows = "skip";
  const auto problems = read(
      "{\"prompt\": \"1\"}\nnot json\n{\"answer\": 3}\n{\"prompt\": \"2\", \"id\": \"1\"}\n"
      "{\"prompt\": \"3\", \"answer\": {}}\n{\"prompt\": \"4\"}\n");
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[1].prompt, "4");
  EXPECT_EQ(report_.rows, 6);
  EXPECT_EQ(report_.kept, 2);
  EXPECT_EQ(report_.bad, 4);
  EXPECT_THAT(report_.left_out_text(),
              AllOf(HasSubstr("4 of 6 rows left out: 4 bad"), HasSubstr("p.jsonl, line 2")));
  EXPECT_THAT(error("nothing\nof\nuse\n"), HasSubstr("holds no problems: 3 of 3 rows left out"));
}

TEST_F(ProblemRowsTest, RowsWithoutAnAnswerAreLeftOutOnRequest) {
  const std::string content =
      "{\"prompt\": \"1\", \"answer\": null}\n{\"prompt\": \"2\", \"answer\": \"\"}\n{\"prompt\": "
      "\"3\"}\n";
  EXPECT_EQ(read(content).size(), 3u);
  options_.drop_unanswered = true;
  EXPECT_THAT(error(content), HasSubstr("3 of 3 rows left out: 3 without an answer"));
  EXPECT_EQ(read(content + "{\"prompt\": \"4\", \"answer\": 0}\n").size(), 1u);
}

TEST_F(ProblemRowsTest, FieldsAreMappedByThreeOptions) {
  options_.prompt = "q.text";
  options_.answer = "checks.0.value";
  options_.id = "meta.uid";
  const auto problems = read(
      "{\"q\": {\"text\": \"a\"}, \"checks\": [{\"value\": 7}], \"meta\": {\"uid\": \"x\"}}\n"
      "{\"q.text\": \"b\"}\n");
  EXPECT_EQ(problems[0].prompt, "a");
  EXPECT_EQ(problems[0].answer, "7");
  EXPECT_EQ(problems[0].id, "x");
  EXPECT_EQ(problems[0].row,
            R"({"q": {"text": "a"}, "checks": [{"value": 7}], "meta": {"uid": "x"}})");
  EXPECT_EQ(problems[1].prompt, "b") << "a field with a dot in its name";
  EXPECT_EQ(problems[1].id, "2");
}

TEST_F(ProblemRowsTest, FieldsBehindTheFileNameReplaceThoseOfOptionsAndPresets) {
  source_ = path_ + "?prompt=q&answer=a&id=i";
  EXPECT_EQ(read("{\"q\": \"1\", \"a\": \"2\", \"i\": 3}").at(0).answer, "2");
  source_ = "gsm8k:" + path_ + "?prompt=q";
  const auto problems = read("{\"q\": \"1\", \"question\": \"2\", \"answer\": \"x #### 5\"}");
  EXPECT_EQ(problems.at(0).prompt, "1");
  EXPECT_EQ(problems.at(0).answer, "5");
}

TEST_F(ProblemRowsTest, ConditionsChooseRows) {
  source_ = path_ + "?level=3..5&type=Algebra|Number Theory";
  const auto problems = read(
      "{\"prompt\": \"1\", \"level\": 3, \"type\": \"Algebra\"}\n"
      "{\"prompt\": \"2\", \"level\": \"Level 5\", \"type\": \"Number Theory\"}\n"
      "{\"prompt\": \"3\", \"level\": 2, \"type\": \"Algebra\"}\n"
      "{\"prompt\": \"4\", \"level\": 4.0, \"type\": \"Geometry\"}\n");
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[1].prompt, "2");
  EXPECT_EQ(report_.unwanted, 2);
  EXPECT_THAT(
      error("{\"prompt\": \"1\", \"type\": \"Algebra\"}"),
      AllOf(HasSubstr("line 1"), HasSubstr("\"level\", which rows are chosen by, is missing")));
  EXPECT_THAT(error("{\"prompt\": \"1\", \"level\": \"hard\"}"), HasSubstr("no number to compare"));
}

// The order of keys is what a chat template writes of tools and arguments.
TEST_F(ProblemRowsTest, ChatsKeepTheOrderOfTheirKeys) {
  const std::string chat = R"([{"role":"user","content":"z","b":1,"a":2}])";
  read("{\"prompt\": " + chat + "}");
  EXPECT_EQ(chats_.at(0), chat);
}

}  // namespace
}  // namespace treepo
