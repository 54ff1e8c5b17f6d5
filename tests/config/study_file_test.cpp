#include "config/study_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/files.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class StudyFileTest : public testing::Test {
 protected:
  StudyFileTest() { write_file_atomically(directory_ / "base.toml", "[rollout]\nwidth = 4\n"); }

  StudyFile read(const std::string& text) {
    write_file_atomically(directory_ / "study.toml", text);
    return read_study_file(directory_ / "study.toml");
  }
  std::string error_in(const std::string& text) {
    return error_of([&] { read(text); });
  }

  TemporaryDirectory directory_;
};

constexpr const char* kHead = "base = \"base.toml\"\ndir = \"runs/s\"\nseeds = [3, 1]\n";

std::vector<std::string> names(const StudyFile& study) {
  std::vector<std::string> all;
  for (const StudyVariant& variant : study.variants) all.push_back(variant.name);
  return all;
}

TEST_F(StudyFileTest, ReadsVariantsInTheOrderOfTheFile) {
  const StudyFile study = read(std::string(kHead) +
                               "warm_start_once = true\nset = [\"train.max_steps=5\"]\n"
                               "[[variant]]\nname = \"b\"\n[[variant]]\nname = \"a\"\n"
                               "set = [\"rollout.depth=2\", \"rollout.width=2\"]\n");
  EXPECT_EQ(study.base, directory_ / "base.toml");
  EXPECT_EQ(study.dir, "runs/s");
  EXPECT_THAT(study.seeds, ElementsAre(3, 1));
  EXPECT_TRUE(study.warm_start_once);
  EXPECT_THAT(study.set, ElementsAre("train.max_steps=5"));
  EXPECT_THAT(names(study), ElementsAre("b", "a"));
  EXPECT_THAT(study.variants[1].set, ElementsAre("rollout.depth=2", "rollout.width=2"));
}

TEST_F(StudyFileTest, AGridIsEveryCombinationInTheOrderOfTheFile) {
  const StudyFile study = read(std::string(kHead) +
                               "[grid]\n\"rollout.width\" = [8, 16]\n"
                               "\"advantage.kind\" = [\"tree\", \"grpo\"]\n"
                               "\"objective.clip_high\" = [0.28]\n");
  EXPECT_THAT(
      names(study),
      ElementsAre("width_8+kind_tree+clip_high_0.28", "width_8+kind_grpo+clip_high_0.28",
                  "width_16+kind_tree+clip_high_0.28", "width_16+kind_grpo+clip_high_0.28"));
  const RunOptions options = study_run_options(study, study.variants[3], 7, "a \"run\"");
  EXPECT_EQ(options.rollout.width, 16);
  EXPECT_EQ(options.advantage.kind, AdvantageKind::grpo);
  EXPECT_EQ(options.train.seed, 7);
  EXPECT_EQ(options.train.run_dir, "a \"run\"");
}

TEST_F(StudyFileTest, TheVariantsValueWinsOverTheStudysAndThatOverTheBases) {
  const StudyFile study = read(std::string(kHead) +
                               "set = [\"rollout.width=8\", \"rollout.depth=3\"]\n"
                               "[[variant]]\nname = \"wide\"\nset = [\"rollout.width=32\"]\n");
  const RunOptions options = study_run_options(study, study.variants[0], 1, "run");
  EXPECT_EQ(options.rollout.width, 32);
  EXPECT_EQ(options.rollout.depth, 3);
}

TEST_F(StudyFileTest, AValueForAllRunsWinsOverTheStudysAndIsRefusedWhereAVariantHasItsOwn) {
  const std::string text = std::string(kHead) +
                           "set = [\"rollout.width=8\"]\n[[variant]]\nname = \"deep\"\n"
                           "set = [\"rollout.depth=9\"]\n[[variant]]\nname = \"plain\"\n";
  StudyFile study = read(text);
  set_in_all_runs(study, {"rollout.width=6", "rollout.segment_tokens=7"});
  for (const StudyVariant& variant : study.variants) {
    const RunOptions options = study_run_options(study, variant, 1, "run");
    EXPECT_EQ(options.rollout.width, 6);
    EXPECT_EQ(options.rollout.segment_tokens, 7);
  }
  const auto refused = [&](const std::string& setting) {
    return error_of([&] { set_in_all_runs(study, {setting}); });
  };
  EXPECT_THAT(refused("rollout.depth=2"),
              HasSubstr("variant \"deep\" has its own rollout.depth=9"));
  EXPECT_THAT(refused("train.seed=3"), HasSubstr("each run of a study has its own train.seed"));
  EXPECT_THAT(refused("train.run_dir=x"), HasSubstr("its own train.run_dir"));
}

TEST_F(StudyFileTest, NamesTheLineOfWhatIsWrong) {
  const std::string head = kHead;  // three lines
  EXPECT_THAT(error_in(head + "variants = 3\n"), HasSubstr("line 4: unknown key variants"));
  EXPECT_THAT(error_in(head + "set = [1]\n"), HasSubstr("line 4: set must be"));
  EXPECT_THAT(error_in(head + "[[variant]]\nset = []\n"), HasSubstr("without a name"));
  EXPECT_THAT(error_in(head + "[[variant]]\nname = \"../x\"\n"), HasSubstr("cannot be that of"));
  EXPECT_THAT(error_in(head + "[[variant]]\nname = \"..\"\n"), HasSubstr("cannot be that of"));
  EXPECT_THAT(error_in(head + "[grid]\nrollout.width = [1]\n"), HasSubstr("keys are written in"));
  EXPECT_THAT(error_in(head + "[grid]\n\"rollout.width\" = []\n"), HasSubstr("a list of values"));
  EXPECT_THAT(error_in(head + "[[variant]]\nname = \"a\"\n[[variant]]\nname = \"a\"\n"),
              HasSubstr("two variants are named \"a\""));
  EXPECT_THAT(error_in(head), HasSubstr("[[variant]] is missing"));
  EXPECT_THAT(error_in("base = \"b\"\ndir = \"d\"\nseeds = [1, 1]\n"), HasSubstr("line 3: seeds"));
  EXPECT_THAT(error_in("base = \n"), HasSubstr("line 1, column"));
}

TEST_F(StudyFileTest, AWrongOptionNamesItsVariant) {
  const StudyFile study =
      read(std::string(kHead) + "[[variant]]\nname = \"odd\"\nset = [\"rollout.widht=2\"]\n");
  EXPECT_THAT(error_of([&] { study_run_options(study, study.variants[0], 1, "run"); }),
              AllOf(HasSubstr("variant \"odd\""), HasSubstr("rollout.widht")));
}

}  // namespace
}  // namespace treepo
