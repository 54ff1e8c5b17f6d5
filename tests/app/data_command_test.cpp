#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/command_line.h"
#include "app/tiny_run.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class DataCommandTest : public ::testing::Test {
 protected:
  std::string shown(Words words) {
    words.insert(words.begin(), "data");
    const ProgramResult result = run_program(words);
    EXPECT_EQ(result.code, kExitSuccess) << result.err;
    return result.out;
  }
  std::string error(Words words) {
    words.insert(words.begin(), "data");
    const ProgramResult result = run_program(words);
    EXPECT_EQ(result.code, kExitError) << result.out;
    return result.err;
  }
  std::string write(const std::string& name, const std::string& text) {
    write_text(model_ / name, text);
    return model_ / name;
  }

  TinyModelDirectory model_;
};

TEST_F(DataCommandTest, ShowsCountsLengthsAndRowsAsTheModelSeesThem) {
  const std::string file = write("a.jsonl",
                                 "{\"prompt\": \"1+2:\", \"answer\": 3}\n{\"prompt\": \"7:\"}\n"
                                 "{\"prompt\": \"1+2+3+4:\", \"answer\": \"10\"}\n");
  const std::string text =
      shown({file, "--model", model_.path(), "--set", "prompt.system=8-8", "--set",
             "prompt.instruction=({question}", "--set", "data.drop_unanswered=true"});
  EXPECT_THAT(text, AllOf(HasSubstr("a: 1 of 3 rows left out: 1 without an answer"),
                          HasSubstr("tokens in a prompt"), HasSubstr("8-8\n\n(1+2:"),
                          HasSubstr("── answer: \"3\""), HasSubstr("a.jsonl, line 3 ── id 3")));
  EXPECT_THAT(shown({file}), AllOf(HasSubstr("characters in a prompt"),
                                   HasSubstr("No model is named"), HasSubstr("answer: none")));
  EXPECT_THAT(shown({file, "--rows", "0"}), Not(HasSubstr("answer:")));
}

TEST_F(DataCommandTest, TakesARunsOptions) {
  write("a.jsonl", "{\"q\": \"1+2:\"}\n");
  write("t.jsonl", "{\"q\": \"4:\"}\n");
  const std::string config =
      write("run.toml", "[data]\nkind = \"files\"\nprompt = \"q\"\ntrain = [\"0.25*" +
                            (model_ / "a.jsonl") + "\", \"b=0.75*" + (model_ / "t.jsonl") +
                            "\"]\ntest = \"" + (model_ / "t.jsonl") + "\"\n");
  EXPECT_THAT(shown({config, "--model", model_.path()}),
              AllOf(HasSubstr("Training"), HasSubstr("25.0 %"), HasSubstr("75.0 %"),
                    HasSubstr("Test"), HasSubstr("id b/1")));
}

TEST_F(DataCommandTest, ChatsAreShownInTheirTemplate) {
  write("chat_template.jinja", "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}");
  const std::string file =
      write("c.jsonl", "{\"prompt\": [{\"role\": \"user\", \"content\": \"1+2\"}]}\n");
  EXPECT_THAT(shown({file, "--model", model_.path()}), HasSubstr("\n<user>1+2\n"));
  EXPECT_THAT(shown({file}), HasSubstr("\n1+2\n"));
}

TEST_F(DataCommandTest, WhatIsWrongIsNamed) {
  EXPECT_THAT(error({model_.path()}), HasSubstr("is a folder, where a file of rows was expected"));
  EXPECT_THAT(error({model_ / "absent.jsonl"}), HasSubstr("absent.jsonl"));
  EXPECT_THAT(error({"gsm:" + (model_ / "a.jsonl")}), HasSubstr("there is no preset gsm"));
  const std::string bad = write("bad.jsonl", "{\"prompt\": \"1\"}\n{\"prompt\": 2}\n");
  EXPECT_THAT(error({bad}), AllOf(HasSubstr("bad.jsonl, line 2"), HasSubstr("data.bad_rows")));
  EXPECT_THAT(shown({bad, "--set", "data.bad_rows=skip"}),
              HasSubstr("1 of 2 rows left out: 1 bad ("));
  EXPECT_THAT(error({TREEPO_SOURCE_DIR "/configs/quickstart.toml"}),
              HasSubstr("makes its problems, no file holds them"));
  write("chat_template.jinja", "{{ raise_exception('never') }}");
  EXPECT_THAT(error({write("g.jsonl", "{\"prompt\": \"1\"}\n"), "--model", model_.path(), "--set",
                     "prompt.form=chat"}),
              AllOf(HasSubstr("g.jsonl, line 1: chat template"), HasSubstr("never")));
}

}  // namespace
}  // namespace treepo
