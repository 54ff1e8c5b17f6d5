#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "app/command_line.h"
#include "app/tiny_run.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// A study of the quickstart's task with two variants, whose runs take a fraction of a second.
class StudyCommandTest : public testing::Test {
 protected:
  StudyCommandTest() {
    std::string settings;
    for (const std::string& word : tiny_train("unused"))
      if (word.find('=') != std::string::npos && !word.starts_with("train.run_dir"))
        settings += "'" + word + "', ";
    write_text(file_, "base = '" + kQuickstart + "'\ndir = '" + folder_ / "runs" +
                          "'\nseeds = [1]\nset = [" + settings +
                          "]\n[[variant]]\nname = 'tree'\n[[variant]]\nname = 'wide'\nset = "
                          "['rollout.width=8']\n");
  }
  std::string config(const std::string& variant) {
    return read_text(folder_ / ("runs/" + variant + "/seed-1/config.toml"));
  }

  TemporaryDirectory folder_;
  std::string file_ = folder_ / "my study.toml";
};

TEST_F(StudyCommandTest, AnOptionHoldsForAllRuns) {
  const ProgramResult result = run_program(Words{"study", file_, "--quiet"} +
                                           sets({"train.max_steps=1", "optimizer.beta2=0.5"}));
  ASSERT_EQ(result.code, kExitSuccess) << result.err;
  for (const char* variant : {"tree", "wide"})
    EXPECT_THAT(config(variant), AllOf(HasSubstr("max_steps = 1\n"), HasSubstr("beta2 = 0.5\n")));
  EXPECT_THAT(config("wide"), HasSubstr("width = 8\n"));
}

TEST_F(StudyCommandTest, WhatAVariantSetsIsRefusedBeforeAnythingRuns) {
  const ProgramResult result = run_program(Words{"study", file_} + sets({"rollout.width=16"}));
  EXPECT_EQ(result.code, kExitError);
  EXPECT_THAT(result.err, HasSubstr("--set rollout.width=16: variant \"wide\" has its own"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "runs"));
}

TEST_F(StudyCommandTest, AnInterruptNamesTheCommandThatGoesOn) {
  RunningProgram program(Words{"study", file_, "--quiet"} + sets({"train.max_steps=1000000"}));
  while (!std::filesystem::exists(folder_ / "runs/tree/seed-1/checkpoints") && !program.has_ended())
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  program.send(SIGINT);
  const ProgramResult result = program.wait();
  EXPECT_EQ(result.code, kExitInterrupted) << result.err;
  EXPECT_THAT(result.out, HasSubstr("Go on with: treepo study '" + file_ +
                                    "' --set train.max_steps=1000000 --quiet\n"));
}

}  // namespace
}  // namespace treepo
