#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "app/command_line.h"
#include "app/tiny_run.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kExamples =
    "{\"prompt\": \"1+1=\", \"response\": \"2!\"}\n{\"prompt\": \"2+2=\", \"response\": \"4!\"}\n";

Words sft(const TinyModelDirectory& model, const Words& settings) {
  return Words{"sft", TREEPO_SOURCE_DIR "/configs/sft.toml", "--model", model.path()} +
         sets(Words{"sft.batch=1", "train.epochs=0", "train.max_steps=3",
                    "optimizer.learning_rate=1e-2", "train.run_dir=" + (model / "run"),
                    "sft.train=" + (model / "train.jsonl")} +
              settings);
}

TEST(SftCommand, TrainsResumesAndLeavesAModel) {
  const TinyModelDirectory model;
  write_text(model / "train.jsonl", kExamples);
  const ProgramResult result = run_program(sft(model, {"sft.test=" + (model / "train.jsonl")}));
  ASSERT_EQ(result.code, kExitSuccess) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("3 steps, 9 response tokens"), HasSubstr("test examples"),
                                HasSubstr("token accuracy"), HasSubstr("checkpoints/best\n")));
  EXPECT_THAT(result.err, HasSubstr("step 3: test loss "));

  const ProgramResult resumed =
      run_program({"sft", "--resume", model / "run", "--set", "train.max_steps=5"});
  ASSERT_EQ(resumed.code, kExitSuccess) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("5 steps, 15 response tokens"));
  // The same "before" as the first run's.
  const auto before = [](const std::string& out) {
    return out.substr(out.find("  loss "), std::string_view("  loss").size() + 26);
  };
  EXPECT_EQ(before(resumed.out), before(result.out));
  EXPECT_THAT(resumed.out, Not(HasSubstr("–")));
  const std::string last = model / "run/checkpoints/step-000005";
  EXPECT_EQ(run_program({"tokenize", "--model", last}, "{\"text\":\"1\"}").out, "{\"ids\":[4]}\n");
  EXPECT_EQ(run_program({"selfcheck", "--model", last, "--write", model / "oracle"}).code, 0);
}

// Two answers of one character and EOS each; questions and what stands behind an EOS have no loss.
TEST(SftCommand, LearnsTheAnswersOfChats) {
  const TinyModelDirectory model;
  write_text(model / "chat_template.jinja",
             "{% for m in messages %}{{ m.content }}{% if m.role == 'user' %}={% else %}<eos>;"
             "{% endif %}{% endfor %}");
  write_text(model / "train.jsonl",
             "{\"messages\": [{\"role\": \"user\", \"content\": \"1+1\"}, "
             "{\"role\": \"assistant\", \"content\": \"2\"}, "
             "{\"role\": \"user\", \"content\": \"2+2\"}, "
             "{\"role\": \"assistant\", \"content\": \"4\"}]}\n");
  const ProgramResult result = run_program(sft(model, {}));
  ASSERT_EQ(result.code, kExitSuccess) << result.err;
  EXPECT_THAT(result.out, HasSubstr("3 steps, 12 response tokens"));
}

TEST(SftCommand, QuietPrintsNothing) {
  const TinyModelDirectory model;
  write_text(model / "train.jsonl", kExamples);
  const ProgramResult result = run_program(sft(model, {}) + Words{"--quiet"});
  EXPECT_EQ(result.code, kExitSuccess);
  EXPECT_EQ(result.out + result.err, "");
}

TEST(SftCommand, WhatIsWrongIsNamed) {
  const TinyModelDirectory model;
  write_text(model / "train.jsonl", kExamples);
  write_text(model / "chat.jsonl", "{\"messages\": []}\n");
  write_text(model / "none.jsonl", "\n");
  const std::vector<std::pair<Words, std::string>> cases = {
      {sft(model, {"sft.train="}), "sft.train is empty"},
      {sft(model, {"sft.train=" + (model / "none.jsonl")}), "none.jsonl holds no examples"},
      {sft(model, {"sft.train=" + (model / "chat.jsonl")}), "chat.jsonl, line 1"},
      {sft(model, {"sft.bach=1"}), "did you mean sft.batch?"},
      {{"sft", "--resume", model / "absent"}, "absent holds no run"}};
  std::vector<Words> commands;
  for (const auto& [words, message] : cases) commands.push_back(words);
  const std::vector<ProgramResult> results = run_programs(commands);
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(results[i].code, kExitError) << cases[i].second;
    EXPECT_THAT(results[i].err, HasSubstr(cases[i].second));
  }
  EXPECT_FALSE(std::filesystem::exists(model / "run"));
}

}  // namespace
}  // namespace treepo
