#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "app/command_line.h"
#include "app/tiny_run.h"
#include "base/json.h"
#include "support/assets.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(TokenizeCommand, IdsAndBack) {
  const TinyModelDirectory model;
  const ProgramResult ids = run_program({"tokenize", "--model", model.path()},
                                        "{\"text\": \"8+5=13;\"}\n\n{\"text\":\"\"}");
  EXPECT_EQ(ids.code, kExitSuccess);
  EXPECT_EQ(ids.out, "{\"ids\":[11,13,8,16,4,6,17]}\n{\"ids\":[]}\n");
  EXPECT_EQ(ids.err, "");
  const ProgramResult text =
      run_program({"tokenize", "--model", model.path(), "--decode"}, ids.out);
  EXPECT_EQ(text.code, kExitSuccess);
  EXPECT_EQ(text.out, "{\"text\":\"8+5=13;\"}\n{\"text\":\"\"}\n");
  EXPECT_EQ(text.err, "");
}

TEST(TokenizeCommand, ReadsAFileAndATokenizerJson) {
  const TinyModelDirectory model;
  write_text(model / "lines", "{\"text\": \"9\"}\n");
  const ProgramResult result =
      run_program({"tokenize", "--model", model / "tokenizer.json", "--input", model / "lines"});
  EXPECT_EQ(result.out, "{\"ids\":[12]}\n") << result.err;
}

TEST(TokenizeCommand, SpecialTokensAreKeptOnRequest) {
  const TinyModelDirectory model;
  const std::string ids = "{\"ids\":[11,13,8,1]}\n";
  EXPECT_EQ(run_program({"tokenize", "--model", model.path(), "--decode"}, ids).out,
            "{\"text\":\"8+5\"}\n");
  EXPECT_EQ(run_program({"tokenize", "--model", model.path(), "--decode", "--special"}, ids).out,
            "{\"text\":\"8+5<eos>\"}\n");
}

TEST(TokenizeCommand, PublishedTokenizersGoThereAndBack) {
  const std::string models = TREEPO_ASSETS "/models";
  if (!std::filesystem::exists(models)) GTEST_SKIP() << no_assets(models);
  // The digits task's template ends each prompt with S (0); this alphabet has no other text.
  const std::string digits = models + "/verl-arith-seq-llama";
  EXPECT_EQ(run_program({"tokenize", "--model", digits, "--special"}, "{\"text\":\"12\"}").out,
            "{\"ids\":[5,6,0]}\n");
  // SentencePiece-style: a space is put before the text and taken off again.
  const std::string stories = models + "/tinystories-656k";
  const std::string text = "{\"text\":\"Once upon a time, 3 cats ate \\\"fish\\\".\"}\n";
  const ProgramResult ids = run_program({"tokenize", "--model", stories}, text);
  const ProgramResult back = run_program({"tokenize", "--model", stories, "--decode"}, ids.out);
  EXPECT_EQ(back.out, text) << ids.out << back.err;
}

TEST(TokenizeCommand, ABrokenLineIsNamed) {
  const TinyModelDirectory model;
  const Words command = {"tokenize", "--model", model.path()};
  const ProgramResult broken = run_program(command, "{\"text\":\"1\"}\n{\"text\":\n");
  EXPECT_EQ(broken.code, kExitError);
  EXPECT_EQ(broken.out, "{\"ids\":[4]}\n");  // what came before
  EXPECT_THAT(broken.err, AllOf(HasSubstr("standard input, line 2"), HasSubstr("not valid JSON")));

  write_text(model / "lines", "{\"text\":\"1\"}\n\n{\"txt\":\"1\"}\n");
  const ProgramResult missing = run_program(command + Words{"--input", model / "lines"});
  EXPECT_EQ(missing.code, kExitError);
  EXPECT_THAT(missing.err, AllOf(HasSubstr(model / "lines, line 3"), HasSubstr("\"text\"")));

  const ProgramResult negative = run_program(command + Words{"--decode"}, "{\"ids\":[1,-1]}");
  EXPECT_EQ(negative.code, kExitError);
  EXPECT_THAT(negative.err, AllOf(HasSubstr("line 1"), HasSubstr("\"ids\"[1] is -1")));
}

TEST(TokenizeCommand, AbsentAndUnwritableFilesAreNamed) {
  const TinyModelDirectory model;
  const ProgramResult no_model = run_program({"tokenize", "--model", "/no/such/model"});
  EXPECT_EQ(no_model.code, kExitError);
  EXPECT_THAT(no_model.err, HasSubstr("/no/such/model"));
  const ProgramResult no_input =
      run_program({"tokenize", "--model", model.path(), "--input", "/no/such/file"});
  EXPECT_EQ(no_input.code, kExitError);
  EXPECT_THAT(no_input.err, HasSubstr("/no/such/file"));
  const ProgramResult full =
      RunningProgram({"tokenize", "--model", model.path()}, "{\"text\":\"1\"}", "/dev/full").wait();
  EXPECT_EQ(full.code, kExitError);
  EXPECT_THAT(full.err, HasSubstr("standard output can't be written"));
}

}  // namespace
}  // namespace treepo
