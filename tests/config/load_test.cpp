#include "config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "config/declare.h"
#include "config/study_file.h"
#include "config/validate.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class LoadTest : public testing::Test {
 protected:
  std::string error_in(const std::string& text) {
    return error_of([&] { apply_toml(table_, text, "run.toml"); });
  }
  std::string error_of_set(const std::string& argument) {
    return error_of([&] { apply_override(table_, argument); });
  }

  RunOptions options_;
  const OptionTable table_ = declare_options(options_);
};

TEST_F(LoadTest, FileThenOverrides) {
  TemporaryDirectory directory;
  const std::string path = directory / "run.toml";
  write_file_atomically(path,
                        "train.max_steps = 7  # a dotted key\n"
                        "[rollout]\nwidth = 8\nfallback = \"none\"\n"
                        "[stop]\nstop_strings = [\"a\", 'b\"']\n"
                        "[optimizer]\nlearning_rate = 2\n");
  const RunOptions options = load_options(path, {"rollout.width=4", "rollout.width=6"});
  EXPECT_EQ(options.train.max_steps, 7);
  EXPECT_EQ(options.rollout.width, 6);  // the last override wins
  EXPECT_EQ(options.rollout.fallback, FallbackPolicy::none);
  EXPECT_THAT(options.stop.stop_strings, ElementsAre("a", "b\""));
  EXPECT_EQ(options.optimizer.learning_rate, 2.0);
  EXPECT_EQ(options.rollout.depth, RunOptions().rollout.depth);
  EXPECT_EQ(load_options("", {}).rollout.width, RunOptions().rollout.width);
}

TEST_F(LoadTest, UnknownKeysNameFileLineAndTheNearest) {
  EXPECT_THAT(error_in("[rollout]\ndepth = 2\nwidht = 8\n"),
              StartsWith("run.toml, line 3: unknown option rollout.widht | did you mean "
                         "rollout.width?"));
  EXPECT_THAT(error_in("\nwidth = 8\n"),
              StartsWith("run.toml, line 2: unknown option width | did you mean rollout.width?"));
  EXPECT_THAT(error_in("[rollot]\nwidth = 8\n"),
              StartsWith("run.toml, line 1: unknown section [rollot] | did you mean [rollout]?"));
  // The first mistake in the file, not in the alphabet.
  EXPECT_THAT(error_in("[train]\nzzz = 1\n[rollout]\naaa = 2\n"), HasSubstr("line 2"));
}

TEST_F(LoadTest, WrongTypesAndRangesNameKeyValueAndLine) {
  EXPECT_THAT(error_in("[rollout]\nwidth = \"8\"\n"),
              StartsWith("run.toml, line 2: rollout.width must be an integer, but is the string "
                         "\"8\""));
  EXPECT_THAT(
      error_in("[sampling]\n\ntop_p = 1.5\n"),
      StartsWith("run.toml, line 3: sampling.top_p must be above 0, at most 1, but is 1.5"));
  EXPECT_THAT(error_in("[sampling]\ntop_p = nan\n"), HasSubstr("but is nan"));
  EXPECT_THAT(error_in("[rollout]\nfallback = \"some\"\n"), HasSubstr("one of none, random"));
  EXPECT_THAT(error_in("[rollout.width]\na = 1\n"),
              StartsWith("run.toml, line 1: rollout.width cannot be a table"));
  EXPECT_THAT(
      error_in("rollout = 3\n"),
      StartsWith("run.toml, line 1: rollout is a section, not an option | write [rollout]"));
  EXPECT_THAT(error_in("[data]\ntrain = 2026-01-01\n"), HasSubstr("cannot be a date or time"));
  EXPECT_THAT(error_in("[stop]\nstop_strings = [\"a\", 1]\n"),
              HasSubstr("cannot be a list that holds something else than strings"));
}

TEST_F(LoadTest, BrokenFilesNameLineAndColumn) {
  EXPECT_THAT(error_in("[rollout]\nwidth = \n"), StartsWith("run.toml, line 2, column "));
  EXPECT_THAT(error_in("[rollout]\nwidth = 1\nwidth = 2\n"), StartsWith("run.toml, line 3"));
  EXPECT_THAT(error_in("[rollout"), StartsWith("run.toml, line 1"));
  EXPECT_THAT(error_in("a = \"\xff\"\n"), StartsWith("run.toml, line 1"));
  EXPECT_THAT(error_in("[rollout]\nwidth = 99999999999999999999\n"),
              StartsWith("run.toml, line 2"));
  EXPECT_THAT(error_in(std::string(5000, '[')), StartsWith("run.toml, line 1"));
  EXPECT_THAT(error_of([] { load_options("/absent/run.toml", {}); }),
              HasSubstr("cannot read /absent/run.toml"));
}

TEST_F(LoadTest, OverridesTakeTomlOrBareWords) {
  for (const char* argument :
       {"rollout.width=8", "sampling.temperature=1e-1", "update.packed=false",
        "data.train=a b=c.jsonl", "train.run_dir=2026-01-01", "model.path=7",
        "data.test=\"quoted\"", "rollout.fallback=none", "stop.stop_strings=[\"x\", 'y']"})
    EXPECT_EQ(error_of_set(argument), "(no error was thrown)");
  EXPECT_EQ(options_.rollout.width, 8);
  EXPECT_EQ(options_.sampling.temperature, 0.1);
  EXPECT_FALSE(options_.update.packed);
  EXPECT_THAT(options_.data.train, ElementsAre("a b=c.jsonl"));
  EXPECT_EQ(options_.train.run_dir, "2026-01-01");
  EXPECT_EQ(options_.model.path, "7");
  EXPECT_THAT(options_.data.test, ElementsAre("quoted"));
  EXPECT_EQ(options_.rollout.fallback, FallbackPolicy::none);
  EXPECT_THAT(options_.stop.stop_strings, ElementsAre("x", "y"));
  apply_override(table_, "data.test=");
  EXPECT_TRUE(options_.data.test.empty());
  apply_override(table_, "data.test=2026");
  EXPECT_THAT(options_.data.test, ElementsAre("2026"));
  apply_override(table_, "data.test=[\"a\", \"b=math:c\"]");
  EXPECT_THAT(options_.data.test, ElementsAre("a", "b=math:c"));
}

TEST_F(LoadTest, OverrideErrorsNameTheArgument) {
  EXPECT_THAT(error_of_set("rollout.widht=8"),
              StartsWith("--set rollout.widht=8: unknown option rollout.widht | did you mean "
                         "rollout.width?"));
  EXPECT_THAT(error_of_set("rollout.width=0"),
              StartsWith("--set rollout.width=0: rollout.width must be 1 or more, but is 0"));
  EXPECT_THAT(error_of_set("rollout.width=many"), HasSubstr("but is the string \"many\""));
  EXPECT_THAT(error_of_set("rollout.width"), AllOf(HasSubstr("no value"), HasSubstr("KEY=VALUE")));
  EXPECT_THAT(error_of_set("=8"), HasSubstr("no value"));
  EXPECT_THAT(error_of_set("update.packed=True"), HasSubstr("must be true or false"));
  EXPECT_THAT(error_of_set("data.train=\"open"), HasSubstr("not valid TOML"));
  EXPECT_THAT(error_of_set("stop.stop_strings=[a, b]"), HasSubstr("not valid TOML"));
  // A line break does not smuggle in another key.
  EXPECT_THAT(error_of_set("rollout.width=8\nx=1"), HasSubstr("must be an integer"));
  EXPECT_THAT(error_of_set("data.train=\xff"), HasSubstr("UTF-8"));
  EXPECT_THAT(error_of_set("data.train=[\"a\", 3]"), HasSubstr("a list that holds something else"));
}

TEST_F(LoadTest, RulesBetweenOptionsAreChecked) {
  EXPECT_THAT(error_of([] { load_options("", {"rollout.width=1"}); }),
              HasSubstr("rollout.first_split_max must not exceed rollout.width"));
}

// Every configuration that comes with treepo can be trained with.
TEST_F(LoadTest, ShippedConfigurationsLoad) {
  const std::string directory = TREEPO_SOURCE_DIR "/configs";
  for (const std::string& name : file_system().list(directory)) {
    if (!name.ends_with(".toml")) continue;
    if (name.starts_with("study-")) {
      const StudyFile study = read_study_file(join_path(directory, name));
      for (const StudyVariant& variant : study.variants)
        EXPECT_NO_THROW(validate_for_training(study_run_options(study, variant, 1, "run")))
            << name << ": " << variant.name;
      continue;
    }
    std::vector<std::string> overrides;
    if (name == "digits.toml") overrides = {"model.path=DIR", "data.train=a", "data.test=b"};
    if (name == "paper-7b.toml") overrides = {"model.path=DIR"};
    if (name == "paper-small.toml") overrides = {"model.path=DIR", "data.train=a"};
    if (name == "sft.toml") overrides = {"model.path=DIR", "sft.train=a"};
    const auto validate_all = name == "sft.toml" ? validate_for_sft : validate_for_training;
    EXPECT_NO_THROW(validate_all(load_options(join_path(directory, name), overrides))) << name;
  }
}

}  // namespace
}  // namespace treepo
