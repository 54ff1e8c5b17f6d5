#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "app/command_line.h"
#include "app/tiny_run.h"
#include "base/json.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

namespace fs = std::filesystem;

// Steps of the lines of metrics.jsonl that tell of a training step.
std::vector<int64_t> trained_steps(const std::string& run_dir) {
  std::vector<int64_t> steps;
  for (const std::string& line : lines_of(read_text(run_dir + "/metrics.jsonl"))) {
    const Json metrics = Json::parse(line, nullptr, false);
    if (metrics.is_discarded()) break;  // half written, so far
    if (metrics.contains("success")) steps.push_back(metrics["step"]);
  }
  return steps;
}

TEST(TrainCommand, LeavesWhatTheReadmePromises) {
  const TemporaryDirectory folder;
  const std::string run = folder / "run";
  const ProgramResult result = run_program(tiny_train(run, {"evaluate.every=1"}));
  ASSERT_EQ(result.code, kExitSuccess) << result.err;

  EXPECT_THAT(read_text(run + "/config.toml"),
              AllOf(HasSubstr("hidden_size = 16"), HasSubstr("seed = 1"), HasSubstr("min_p = ")));
  EXPECT_THAT(trained_steps(run), ElementsAre(1, 2));
  for (const std::string& line : lines_of(read_text(run + "/samples.jsonl"))) {
    const Json tree = Json::parse(line);
    EXPECT_TRUE(tree.contains("step"));
    EXPECT_TRUE(tree.contains("nodes"));
    for (const Json& leaf : tree["leaves"]) {
      for (const char* key : {"text", "reward", "advantage"})
        EXPECT_TRUE(leaf.contains(key)) << key;
    }
  }
  EXPECT_TRUE(fs::is_symlink(run + "/checkpoints/best"));
  const std::string last = run + "/checkpoints/step-000002";
  for (const char* file : {"config.json", "model.safetensors", "tokenizer.json", "DONE"}) {
    EXPECT_TRUE(fs::exists(last + "/" + file)) << file;
  }
  EXPECT_FALSE(fs::exists(run + "/tmp"));

  EXPECT_THAT(result.out, AllOf(HasSubstr("2 steps in "), HasSubstr("held-out problems"),
                                HasSubstr("success, one sample"), HasSubstr("success, greedy"),
                                HasSubstr("(4 problems, 2 samples of each)"),
                                HasSubstr("sharing saved "), HasSubstr("run         " + run + "\n"),
                                HasSubstr("checkpoint  " + run + "/checkpoints/best\n"),
                                HasSubstr("train --resume " + run + " --set train.max_steps=4\n")));

  // The checkpoint is a model for the other commands.
  EXPECT_EQ(run_program({"selfcheck", "--model", last, "--write", folder / "oracle"}).code, 0);
  EXPECT_EQ(run_program({"tokenize", "--model", last}, "{\"text\":\"1\"}").out, "{\"ids\":[4]}\n");
}

TEST(TrainCommand, QuietPrintsNothing) {
  const TemporaryDirectory folder;
  const ProgramResult result = run_program(tiny_train(folder / "run") + Words{"--quiet"});
  EXPECT_EQ(result.code, kExitSuccess);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err, "");
}

TEST(TrainCommand, WrongOptionsAreNamed) {
  const TemporaryDirectory folder;
  write_text(folder / "unknown.toml", "[rollout]\nwidht = 3\n");
  write_text(folder / "broken.toml", "[rollout\n");
  const std::vector<std::pair<Words, Words>> cases = {
      {{kQuickstart, "--set", "rollout.widht=8"}, {"rollout.widht", "did you mean rollout.width?"}},
      {{kQuickstart, "--set", "rollot.width=8"}, {"did you mean rollout.width?"}},
      {{kQuickstart, "--set", "rollout.width=0"}, {"rollout.width must be 1 or more, but is 0"}},
      {{kQuickstart, "--set", "sampling.top_p=1.5"}, {"sampling.top_p", "1.5"}},
      {{kQuickstart, "--set", "advantage.kind=tre"}, {"advantage.kind must be one of tree"}},
      {{kQuickstart, "--set", "update.updates_per_batch=17"}, {"must not exceed"}},
      {{folder / "unknown.toml"}, {"unknown.toml, line 2", "did you mean rollout.width?"}},
      {{folder / "broken.toml"}, {"broken.toml, line 1"}},
      {{folder / "absent.toml"}, {"absent.toml", "No such file"}},
      {{"--resume", folder / "absent"}, {"absent holds no run"}},
      {{kQuickstart, "--set", "data.kind=files"}, {"data.train is empty"}},
  };
  std::vector<Words> commands;
  for (const auto& [arguments, messages] : cases) commands.push_back(Words{"train"} + arguments);
  const std::vector<ProgramResult> results = run_programs(commands);
  for (size_t i = 0; i < cases.size(); ++i) {
    const Words& messages = cases[i].second;
    EXPECT_EQ(results[i].code, kExitError) << messages[0];
    EXPECT_EQ(results[i].out, "");
    for (const std::string& message : messages) EXPECT_THAT(results[i].err, HasSubstr(message));
  }
}

TEST(TrainCommand, ARunDirectoryMustBeFree) {
  const TemporaryDirectory folder;
  write_text(folder / "file", "mine");
  for (const std::string& below : {folder / "file", folder / "file/run"}) {
    const ProgramResult result = run_program(tiny_train(below));
    EXPECT_EQ(result.code, kExitError);
    EXPECT_THAT(result.err, AllOf(HasSubstr(below), HasSubstr("Not a directory")));
  }
  EXPECT_EQ(read_text(folder / "file"), "mine");

  const std::string run = folder / "run";
  ASSERT_EQ(run_program(tiny_train(run)).code, kExitSuccess);
  const std::string metrics = read_text(run + "/metrics.jsonl");
  const ProgramResult again = run_program(tiny_train(run));
  EXPECT_EQ(again.code, kExitError);
  EXPECT_THAT(again.err, AllOf(HasSubstr(run + " holds a run already"),
                               HasSubstr("--resume " + run), HasSubstr("train.run_dir=DIR")));
  EXPECT_EQ(read_text(run + "/metrics.jsonl"), metrics);
}

TEST(TrainCommand, ZeroProblemsAreAnError) {
  const TinyModelDirectory model;
  write_text(model / "none.jsonl", "\n");
  const ProgramResult result = run_program(
      tiny_train(model / "run", {"data.kind=files", "data.train=" + (model / "none.jsonl"),
                                 "warm_start.steps=0", "reward.kind=exact"}) +
      Words{"--model", model.path()});
  EXPECT_EQ(result.code, kExitError);
  EXPECT_THAT(result.err, HasSubstr("none.jsonl holds no problems"));
}

TEST(TrainCommand, ContextsThatAreTooShortAreFoundBeforeWeightsAreRead) {
  const TinyModelDirectory model;
  fs::remove(model / "model.safetensors");
  write_text(model / "one.jsonl", "{\"prompt\": \"1+2+3+4+5:\", \"answer\": \"3\"}\n");
  const auto train = [&](const std::string& depth) {
    return tiny_train(model / "run", {"data.kind=files", "data.train=" + (model / "one.jsonl"),
                                      "warm_start.steps=0", "reward.kind=exact",
                                      "rollout.segment_tokens=8", "rollout.depth=" + depth}) +
           Words{"--model", model.path()};
  };
  const std::vector<ProgramResult> results = run_programs({train("64"), train("15"), train("4")});
  for (const ProgramResult& result : results) EXPECT_EQ(result.code, kExitError);
  EXPECT_THAT(results[0].err, AllOf(HasSubstr("context of 128"), HasSubstr("rollout.depth = 64")));
  EXPECT_THAT(results[1].err, AllOf(HasSubstr("one.jsonl, line 1"), HasSubstr("context of 128")));
  EXPECT_THAT(results[2].err, HasSubstr("safetensors"));
}

TEST(TrainCommand, CheckedDevicesTrainToTheSameNumbers) {
  const TemporaryDirectory folder;
  const std::vector<ProgramResult> results =
      run_programs({tiny_train(folder / "plain"),
                    tiny_train(folder / "checked") + Words{"--device", "checked"}});
  ASSERT_EQ(results[1].code, kExitSuccess) << results[1].err;
  EXPECT_THAT(results[1].err, HasSubstr("checked: "));
  EXPECT_EQ(read_text(folder / "checked/samples.jsonl"), read_text(folder / "plain/samples.jsonl"));
}

TEST(TrainCommand, ResumeRefusesOtherOptionsAndListsThoseThatMayChange) {
  const TemporaryDirectory folder;
  const std::string run = folder / "run";
  ASSERT_EQ(run_program(tiny_train(run)).code, kExitSuccess);
  const ProgramResult refused =
      run_program({"train", "--resume", run, "--set", "model.hidden_size=8"});
  EXPECT_EQ(refused.code, kExitError);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("model.hidden_size was 16, now 8"),
                                 HasSubstr("these may change: "), HasSubstr("train.max_steps")));
  // A folder that was moved goes on where it is now.
  fs::rename(run, folder / "moved");
  const ProgramResult more =
      run_program({"train", "--resume", folder / "moved", "--set", "train.max_steps=3"});
  EXPECT_EQ(more.code, kExitSuccess) << more.err;
  EXPECT_THAT(trained_steps(folder / "moved"), ElementsAre(1, 2, 3));
  EXPECT_FALSE(fs::exists(run));
}

// Ctrl-C after some steps: the step is ended, a checkpoint written, and --resume goes on from it.
TEST(TrainCommand, AnInterruptLeavesACheckpointToGoOnFrom) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const TemporaryDirectory folder;
    const std::string run = folder / "run";
    RunningProgram program(
        tiny_train(run, {"train.max_steps=1000000", "train.checkpoint_every=1000000"}));
    while (trained_steps(run).empty() && !program.has_ended()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ASSERT_FALSE(program.has_ended());
    program.send(signal);
    const ProgramResult result = program.wait();
    EXPECT_EQ(result.code, kExitInterrupted) << result.err;
    EXPECT_THAT(result.out,
                AllOf(HasSubstr("Interrupted. Go on with: treepo train --resume " + run),
                      Not(HasSubstr("Next:"))));

    const std::vector<int64_t> before = trained_steps(run);
    ASSERT_FALSE(before.empty());
    const int64_t last = before.back();
    EXPECT_EQ(last, static_cast<int64_t>(before.size()));
    EXPECT_TRUE(fs::exists(fmt::format("{}/checkpoints/step-{:06}/DONE", run, last)));

    const ProgramResult resumed = run_program(Words{"train", "--resume", run} +
                                              sets({fmt::format("train.max_steps={}", last + 2)}));
    EXPECT_EQ(resumed.code, kExitSuccess) << resumed.err;
    std::vector<int64_t> expected = before;
    expected.insert(expected.end(), {last + 1, last + 2});
    EXPECT_EQ(trained_steps(run), expected);
  }
}

}  // namespace
}  // namespace treepo
