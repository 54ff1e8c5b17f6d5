// A study's runs are those that single commands would have made, whatever interrupts it.

#include "train/study.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "config/save.h"
#include "support/expect_error.h"
#include "tiny_run.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class StudyTest : public testing::Test {
 protected:
  StudyTest() {
    tiny_.options.train.max_steps = 2;
    write_file_atomically(tiny_.directory / "base.toml", options_as_toml(tiny_.options));
    study_ = {.base = tiny_.directory / "base.toml",
              .dir = tiny_.directory / "study",
              .seeds = {1, 2},
              .set = {},
              .variants = {{.name = "tree"}, {.name = "grpo", .set = {"advantage.kind=grpo"}}}};
  }

  StudyOutcome run(const std::function<bool()>& stop = [] { return false; }) {
    begun_.clear();
    const std::vector<StudyRun> runs = plan_study(study_);
    return run_study(
        study_, runs,
        [&](size_t i) { begun_.push_back(fmt::format("{} {}", runs[i].variant, runs[i].seed)); },
        stop);
  }
  std::string metrics(const std::string& run) {
    return read_file(join_path(study_.dir, run + "/metrics.jsonl"));
  }
  std::vector<Json> lines(const std::string& run) {
    TinyRun of_study;
    of_study.options.train.run_dir = join_path(study_.dir, run);
    return without_times(of_study.lines("metrics.jsonl"));
  }

  TinyRun tiny_;
  StudyFile study_;
  std::vector<std::string> begun_;
};

TEST_F(StudyTest, RunsEachVariantWithEachSeedAsASingleRunWould) {
  const StudyOutcome outcome = run();
  EXPECT_EQ(outcome.finished, 4);
  EXPECT_EQ(outcome.failed, 0);
  EXPECT_THAT(begun_, ElementsAre("tree 1", "grpo 1", "tree 2", "grpo 2"));
  tiny_.options.advantage.kind = AdvantageKind::grpo;
  tiny_.options.train.seed = 2;
  tiny_.train();
  EXPECT_EQ(lines("grpo/seed-2"), without_times(tiny_.lines("metrics.jsonl")));
  EXPECT_NE(lines("grpo/seed-2"), lines("tree/seed-2"));
}

TEST_F(StudyTest, LeavesFinishedRunsAndGoesOnWithTheOneThatWasInterrupted) {
  int steps = 2;  // the second run's first step
  EXPECT_TRUE(run([&] { return --steps == 0; }).interrupted);
  EXPECT_THAT(begun_, ElementsAre("tree 1", "grpo 1"));
  const std::string first = metrics("tree/seed-1");
  study_.variants.push_back({.name = "deep", .set = {"rollout.depth=4"}});
  EXPECT_EQ(run().finished, 6);
  EXPECT_THAT(begun_, ElementsAre("grpo 1", "deep 1", "tree 2", "grpo 2", "deep 2"));
  EXPECT_EQ(metrics("tree/seed-1"), first);
  run();
  EXPECT_THAT(begun_, ElementsAre());
}

TEST_F(StudyTest, OneWarmStartServesAllVariantsOfASeed) {
  study_.warm_start_once = true;
  EXPECT_EQ(run().finished, 4);
  const Json first = lines("tree/seed-1")[0], other = lines("grpo/seed-1")[0];
  EXPECT_EQ(first, other);  // the evaluation before training
  EXPECT_EQ(lines("warm-start/seed-1")[0], first);
  const RunOptions saved = load_options(join_path(study_.dir, "grpo/seed-1/config.toml"), {});
  EXPECT_EQ(saved.model.path, join_path(study_.dir, "warm-start/seed-1/checkpoints/step-000000"));
  EXPECT_EQ(saved.warm_start.steps, 0);
}

TEST_F(StudyTest, AFailedRunDoesNotEndTheStudy) {
  study_.seeds = {1};
  study_.variants[0].set = {"data.train=" + (tiny_.directory / "none.jsonl")};
  const StudyOutcome outcome = run();
  EXPECT_EQ(outcome.failed, 1);
  EXPECT_EQ(outcome.finished, 1);
}

TEST_F(StudyTest, AFolderWithARunOfOtherOptionsIsAnError) {
  study_.seeds = {1};
  run();
  study_.variants[1].set = {"rollout.width=4"};
  EXPECT_THAT(error_of([&] { run(); }),
              AllOf(HasSubstr("grpo/seed-1 holds a run with"), HasSubstr("the study has")));
}

TEST_F(StudyTest, FinishedRunsGoOnWhereMoreStepsAreAsked) {
  study_.seeds = {1};
  run();
  study_.set = {"train.max_steps=4"};
  EXPECT_TRUE(run([] { return true; }).interrupted);  // after the third step
  EXPECT_THAT(begun_, ElementsAre("tree 1"));
  EXPECT_EQ(run().finished, 2);
  EXPECT_THAT(begun_, ElementsAre("tree 1", "grpo 1"));
  for (const std::string variant : {"tree", "grpo"})
    EXPECT_EQ(lines(variant + "/seed-1").back()["step"], 4);
  run();
  EXPECT_THAT(begun_, ElementsAre());
}

TEST_F(StudyTest, AFinishedRunOfOtherLengthOrEvaluationIsAnError) {
  study_.seeds = {1};
  run();
  for (const auto& [setting, told] :
       {std::pair("train.max_steps=1", "train.max_steps = 2, the study has 1"),
        std::pair("train.epochs=5", "train.epochs = 0.0, the study has 5.0"),
        std::pair("evaluate.samples=3", "evaluate.samples = 2, the study has 3")}) {
    study_.set = {setting};
    EXPECT_THAT(error_of([&] { run(); }),
                AllOf(HasSubstr("tree/seed-1 holds a run with "), HasSubstr(told)));
  }
  study_.set = {"train.keep_checkpoints=7"};  // makes no difference to a run's numbers
  EXPECT_EQ(run().finished, 2);
}

TEST_F(StudyTest, WhatIsWrongWithAVariantIsToldBeforeAnythingRuns) {
  study_.variants[1].set = {"rollout.width=1", "rollout.first_split_min=4"};
  EXPECT_THAT(error_of([&] { run(); }), HasSubstr("variant \"grpo\""));
  EXPECT_FALSE(posix_file_system().exists(study_.dir));
}

}  // namespace
}  // namespace treepo
