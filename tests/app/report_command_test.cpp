#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "app/command_line.h"
#include "app/tiny_run.h"
#include "base/json.h"

// Commands that read what a run has left: report and show.

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// One run for all tests here.
const std::string& run_dir() {
  static const TemporaryDirectory folder;
  static const std::string path = [] {
    const ProgramResult made =
        run_program(tiny_train(folder / "run", {"train.tensorboard=true"}) + Words{"--quiet"});
    EXPECT_EQ(made.code, kExitSuccess) << made.err;
    return folder / "run";
  }();
  return path;
}

TEST(ReportCommand, WritesThePageIntoTheRunsFolder) {
  const ProgramResult result = run_program({"report", run_dir()});
  EXPECT_EQ(result.code, kExitSuccess) << result.err;
  EXPECT_THAT(result.out, HasSubstr(run_dir() + "/report.html"));
  const std::string page = read_file(run_dir() + "/report.html");
  EXPECT_THAT(page, AllOf(HasSubstr("<!DOCTYPE html>"), HasSubstr("\"reward/mean\""),
                          HasSubstr("configs/quickstart.toml")));
  const ProgramResult out = run_program({"report", run_dir(), "--out", "-"});
  EXPECT_THAT(out.out, testing::EndsWith("</html>\n"));
}

TEST(ReportCommand, AFolderThatIsNoRunIsAnError) {
  const TemporaryDirectory empty;
  const ProgramResult result = run_program({"report", run_dir(), empty / ""});
  EXPECT_EQ(result.code, kExitError);
  EXPECT_THAT(result.err, AllOf(HasSubstr("holds no run"), HasSubstr("train.run_dir")));
  EXPECT_EQ(run_program({"report", empty / "nothing"}).code, kExitError);
  EXPECT_EQ(run_program({"report"}).code, kExitUsage);
}

TEST(ReportCommand, RunJsonTellsOfEachSession) {
  const Json record = Json::parse(read_file(run_dir() + "/run.json"));
  ASSERT_EQ(record["sessions"].size(), 1u);
  const Json& session = record["sessions"][0];
  EXPECT_EQ(session["command"][1], "train");
  EXPECT_EQ(session["torch"], "2.11.0");
  EXPECT_EQ(session["from_step"], 0);
  EXPECT_GT(session["memory_bytes"], 0);
}

TEST(ShowCommand, DrawsTheLastStepOrTheOneAskedFor) {
  const ProgramResult last = run_program({"show", run_dir()});
  EXPECT_EQ(last.code, kExitSuccess) << last.err;
  EXPECT_THAT(last.out, AllOf(HasSubstr("step 2  query carry-"), Not(HasSubstr("step 1  ")),
                              HasSubstr("├─ 8 tok"), HasSubstr("reward ")));
  const ProgramResult first =
      run_program({"show", run_dir() + "/samples.jsonl", "--step", "1", "--width", "60"});
  EXPECT_THAT(first.out, AllOf(HasSubstr("step 1  query"), Not(HasSubstr("step 2  "))));
  const ProgramResult none = run_program({"show", run_dir(), "--query", "nobody"});
  EXPECT_EQ(none.code, kExitError);
  EXPECT_THAT(none.err, HasSubstr("query \"nobody\""));
}

TEST(ShowCommand, ACutLastLineIsLeftOutADamagedOneIsAnError) {
  const TemporaryDirectory folder;
  const std::string text = read_file(run_dir() + "/samples.jsonl");
  write_file_atomically(folder / "cut.jsonl", text.substr(0, text.size() - 20));
  const ProgramResult cut = run_program({"show", folder / "cut.jsonl"});
  EXPECT_EQ(cut.code, kExitSuccess);
  EXPECT_THAT(cut.err, HasSubstr("cut off"));
  write_file_atomically(folder / "bad.jsonl", "{nonsense\n" + text);
  const ProgramResult bad = run_program({"show", folder / "bad.jsonl"});
  EXPECT_EQ(bad.code, kExitError);
  EXPECT_THAT(bad.err, HasSubstr("bad.jsonl, line 1"));
  write_file_atomically(folder / "empty.jsonl", "");
  EXPECT_THAT(run_program({"show", folder / "empty.jsonl"}).err, HasSubstr("holds no tree"));
  EXPECT_EQ(run_program({"show", folder / "missing.jsonl"}).code, kExitError);
  EXPECT_EQ(run_program({"show", folder / "cut.jsonl", "--width", "3"}).code, kExitUsage);
}

TEST(TrainCommand, JsonOnStandardOutputIsTheLog) {
  const TemporaryDirectory folder;
  const ProgramResult result = run_program(tiny_train(folder / "run") + Words{"--json", "--quiet"});
  EXPECT_EQ(result.code, kExitSuccess) << result.err;
  EXPECT_EQ(result.out, read_file(folder / "run/metrics.jsonl"));
  EXPECT_EQ(result.err, "");
}

TEST(TrainCommand, ALineForEachStep) {
  const TemporaryDirectory folder;
  const ProgramResult result = run_program(tiny_train(folder / "run"));
  EXPECT_THAT(result.err, AllOf(HasSubstr("step 1/2  success "), HasSubstr("step 2/2  success "),
                                Not(HasSubstr("\r"))));
}

}  // namespace
}  // namespace treepo
