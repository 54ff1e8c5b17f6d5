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
  const std::vector<TextExample> examples = read_examples(path);
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
      {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", "\"prompt\""},
      {"[1]", "a JSON object was expected"},
      {"{\"prompt\"", "line 2"}};
  for (const auto& [line, message] : cases) {
    write_file_atomically(path, "{\"prompt\": \"a\", \"response\": \"b\"}\n" + line + "\n");
    EXPECT_THAT(error_of([&] { read_examples(path); }),
                AllOf(HasSubstr("examples.jsonl, line 2"), HasSubstr(message)));
  }
  write_file_atomically(path, "\n");
  EXPECT_THAT(error_of([&] { read_examples(path); }), HasSubstr("holds no examples"));
}

}  // namespace
}  // namespace treepo
