#include "data/examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(Examples, AreReadInOrder) {
  const TemporaryDirectory folder;
  const std::string path = folder / "examples.jsonl";
  write_file_atomically(path,
                        "{\"prompt\": \"2+3=\", \"response\": \"5\", \"source\": 7}\n\n"
                        "{\"response\": \"\", \"prompt\": \"é\"}\n");
  const std::vector<TextExample> examples = read_examples(parse_source(path));
  ASSERT_EQ(examples.size(), 2u);
  EXPECT_EQ(examples[0].prompt, "2+3=");
  EXPECT_EQ(examples[0].response, "5");
  EXPECT_EQ(examples[1].prompt, "é");
  EXPECT_EQ(examples[1].response, "");
  EXPECT_EQ(examples[1].where, path + ", line 3");
}

TEST(Examples, WhatIsWrongIsNamedWithItsLine) {
  const TemporaryDirectory folder;
  const std::string path = folder / "examples.jsonl";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{\"prompt\": \"a\"}", "\"response\""},
      {"{\"response\": \"a\"}", "\"prompt\""},
      {"{\"prompt\": 3, \"response\": \"a\"}", "\"prompt\""},
      {"{\"messages\": \"a\"}", "\"response\""},
      {"[1]", "a JSON object was expected"},
      {"{\"prompt\"", "line 2"}};
  for (const auto& [line, message] : cases) {
    write_file_atomically(path, "{\"prompt\": \"a\", \"response\": \"b\"}\n" + line + "\n");
    EXPECT_THAT(error_of([&] { read_examples(parse_source(path)); }),
                AllOf(HasSubstr("examples.jsonl, line 2"), HasSubstr(message)));
  }
  write_file_atomically(path, "\n");
  EXPECT_THAT(error_of([&] { read_examples(parse_source(path)); }), HasSubstr("holds no examples"));
}

TEST(Examples, ChatsComeWithTheirTools) {
  const TemporaryDirectory folder;
  const std::string path = folder / "chats.jsonl";
  write_file_atomically(
      path,
      R"({"id": 1, "tools": [{"z": 1, "a": 2}], "messages": [{"role": "user", "content": "q"}]}
{"prompt": [{"role": "user", "content": "q"}], "response": "r"}
)");
  const std::vector<TextExample> examples = read_examples(parse_source(path));
  EXPECT_EQ(examples.at(0).chat,
            R"({"messages":[{"role":"user","content":"q"}],"tools":[{"z":1,"a":2}]})");
  EXPECT_EQ(examples.at(1).chat,
            R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"r"}]})");
}

TEST(Examples, PresetsNameTheWorkedSolution) {
  const TemporaryDirectory folder;
  const std::string path = folder / "g.jsonl";
  write_file_atomically(path, "{\"question\": \"1+1?\", \"answer\": \"It is 2.\\n#### 2\"}\n");
  const std::vector<TextExample> examples = read_examples(parse_source("gsm8k:" + path));
  EXPECT_EQ(examples.at(0).prompt, "1+1?");
  EXPECT_EQ(examples.at(0).response, "It is 2.\n#### 2");
}

}  // namespace
}  // namespace treepo
