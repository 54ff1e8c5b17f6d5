#include "data/prompt_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class PromptWriterTest : public ::testing::Test {
 protected:
  PromptWriterTest() {
    write_file_atomically(
        folder_ / "chat_template.jinja",
        "{% for m in messages %}"
        "{% if m.content == 'bad' %}{{ raise_exception('bad words') }}{% endif %}"
        "[{{ m.role }}:{{ m.content }}]"
        "{% endfor %}{% if add_generation_prompt %}[assistant:{{ mood }}{% endif %}");
    write_file_atomically(folder_ / "shots.jsonl",
                          "{\"prompt\": \"1+1\", \"response\": \"2\"}\n"
                          "{\"prompt\": \"2+2\", \"response\": \"4\"}\n"
                          "{\"prompt\": \"3+3\", \"response\": \"6\"}\n");
  }

  std::string written(const std::string& question, const std::string& chat = "") {
    rows_ = {SourceRow{.problem = {}, .chat = chat}};
    rows_[0].problem.prompt = question;
    rows_[0].problem.where = "f.jsonl, line 7";
    PromptWriter(options_, folder_.path()).write(rows_, report_, BadRows(skip_));
    return rows_.empty() ? "(left out)" : rows_[0].problem.prompt;
  }

  TemporaryDirectory folder_;
  PromptOptions options_;
  std::vector<SourceRow> rows_;
  SourceReport report_;
  bool skip_ = false;
  const std::string chat_ =
      R"([{"role": "system", "content": "s"}, {"role": "user", "content": "q"}])";
};

TEST_F(PromptWriterTest, TextStaysAsItIsUnlessAskedFor) {
  EXPECT_EQ(written("2+2?"), "2+2?");
  EXPECT_FALSE(rows_[0].problem.is_chat);
}

TEST_F(PromptWriterTest, PlainPromptsHaveSystemExamplesAndInstruction) {
  options_.system = "Be brief.";
  options_.instruction = "Answer in a box.";
  EXPECT_EQ(written("2+2?"), "Be brief.\n\n2+2?\nAnswer in a box.");
  options_.instruction = "Question: {question}\nAnswer:";
  EXPECT_EQ(written("2+2?"), "Be brief.\n\nQuestion: 2+2?\nAnswer:");
  options_.few_shot = folder_ / "shots.jsonl";
  options_.few_shot_count = 2;
  EXPECT_EQ(written("5+5"),
            "Be brief.\n\nQuestion: 1+1\nAnswer: 2\n\nQuestion: 2+2\nAnswer: 4\n\n"
            "Question: 5+5\nAnswer:");
  options_.instruction = "{question}\n";
  options_.system = "";
  EXPECT_EQ(written("5+5"), "1+1\n2\n\n2+2\n4\n\n5+5\n");
}

TEST_F(PromptWriterTest, ChatsGoThroughTheTemplate) {
  EXPECT_EQ(written("", chat_), "[system:s][user:q][assistant:");
  EXPECT_TRUE(rows_[0].problem.is_chat);
  options_.form = "chat";
  EXPECT_EQ(written("2+2?"), "[user:2+2?][assistant:");
  options_.form = "plain";
  EXPECT_EQ(written("", chat_), "s\n\nq");
}

TEST_F(PromptWriterTest, ChatsTakeInstructionSystemExamplesAndArguments) {
  options_ = {.form = "chat",
              .system = "own",
              .instruction = "Box it.",
              .few_shot = folder_ / "shots.jsonl",
              .few_shot_count = 1,
              .chat_template = {},
              .template_arguments = R"({"mood": "glad"})"};
  EXPECT_EQ(written("q"),
            "[system:own][user:1+1\nBox it.][assistant:2][user:q\nBox it.]"
            "[assistant:glad");
  options_.few_shot.clear();
  EXPECT_EQ(written("", chat_), "[system:s][user:q\nBox it.][assistant:glad")
      << "a row's own system message stays";
}

TEST_F(PromptWriterTest, AnAssistantsLastMessageIsGoneOnWith) {
  EXPECT_EQ(
      written("", R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "Let"}])"),
      "[user:q][assistant:Let");
}

TEST_F(PromptWriterTest, ATemplateThatRaisesNamesItselfAndTheRow) {
  options_.form = "chat";
  EXPECT_THAT(error_of([&] { written("bad"); }),
              AllOf(HasSubstr("f.jsonl, line 7: chat template"), HasSubstr("chat_template.jinja"),
                    HasSubstr("the template says: bad words")));
  skip_ = true;
  EXPECT_EQ(written("bad"), "(left out)");
  EXPECT_EQ(report_.bad, 1);
}

TEST_F(PromptWriterTest, WhatIsWrongIsNamed) {
  options_.few_shot = folder_ / "shots.jsonl";
  EXPECT_THAT(error_of([&] { written("q"); }),
              HasSubstr("holds 3 examples, prompt.few_shot_count is 4"));
  options_ = {};
  options_.template_arguments = "[1]";
  EXPECT_THAT(error_of([&] { written("q"); }), HasSubstr("is no JSON object"));
  options_.template_arguments = "{";
  EXPECT_THAT(error_of([&] { written("q"); }), HasSubstr("prompt.template_arguments"));
  options_ = {};
  EXPECT_THAT(error_of([&] { written("", "[{\"content\": \"q\"}]"); }),
              HasSubstr("line 7: a message without a \"role\""));
  EXPECT_THAT(error_of([&] { written("", "[]"); }), HasSubstr("line 7: the chat is empty"));
  file_system().remove(folder_ / "chat_template.jinja");
  EXPECT_THAT(error_of([&] { written("", chat_); }), HasSubstr("brings no chat template"));
}

}  // namespace
}  // namespace treepo
