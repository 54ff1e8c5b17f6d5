#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "support/expect_error.h"
#include "support/faulty_file_system.h"
#include "support/recording_terminal.h"
#include "tiny_run.h"
#include "train/warm_start.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(TrainerErrors, ARunDirectoryThatHoldsARun) {
  TinyRun run;
  run.options.train.max_steps = 1;
  run.train();
  const std::string metrics = read_file(run.path("metrics.jsonl"));
  EXPECT_THAT(error_of([&] { run.train(); }),
              AllOf(HasSubstr(run.options.train.run_dir + " holds a run already"),
                    HasSubstr("treepo train --resume"), HasSubstr("train.run_dir")));
  EXPECT_EQ(read_file(run.path("metrics.jsonl")), metrics);

  posix_file_system().remove(run.path("config.toml"));
  EXPECT_THAT(error_of([&] { run.train(); }), HasSubstr("holds checkpoints of a run"));
}

TEST(TrainerErrors, ARunDirectoryThatCannotBeMade) {
  TinyRun run;
  run.options.train.run_dir = run.directory / "train.jsonl/run";  // below a file
  EXPECT_THAT(error_of([&] { run.train(); }), HasSubstr(run.options.train.run_dir));
}

TEST(TrainerErrors, ARunDirectoryThatCannotBeWritten) {
  const TinyRun run;
  for (const int64_t call : {1, 2, 3, 4}) {
    FaultyFileSystem faulty;
    faulty.fail_from(call, EROFS);
    const ScopedFileSystem scope(faulty);
    EXPECT_THAT(error_of([&] { run.train(); }),
                AllOf(HasSubstr("cannot "), HasSubstr(run.options.train.run_dir)))
        << "from call " << call;
  }
}

TEST(TrainerErrors, NoProblems) {
  TinyRun run;
  run.write("train.jsonl", "\n");
  EXPECT_THAT(error_of([&] { run.train(); }), HasSubstr("train.jsonl holds no problems"));
  TinyRun other;
  other.write("test.jsonl", "");
  EXPECT_THAT(error_of([&] { other.train(); }), HasSubstr("test.jsonl holds no problems"));
  EXPECT_FALSE(posix_file_system().exists(run.options.train.run_dir));
}

// The model's context is 128 tokens, 12 of which the response may take.
TEST(TrainerErrors, APromptLongerThanTheContext) {
  const std::string fits(116, '7'), too_long(117, '7');
  TinyRun run;
  run.options.train.max_steps = 1;
  run.write("train.jsonl", R"({"prompt": "1=", "answer": "1"})"
                           "\n\n"
                           R"({"prompt": ")" +
                               fits + R"(", "answer": "1"})");
  run.write("test.jsonl", R"({"prompt": ")" + too_long + R"(", "answer": "1"})");
  EXPECT_THAT(error_of([&] { run.train(); }),
              AllOf(HasSubstr("test.jsonl, line 1: a prompt of 117 tokens and a response of up to "
                              "12 exceed the model's context of 128"),
                    HasSubstr("stop.response_tokens")));
  run.options.data.test.clear();
  run.train();

  TinyRun other;
  other.write("train.jsonl", R"({"prompt": "1=", "answer": "1"})"
                             "\n\n"
                             R"({"prompt": ")" +
                                 too_long + R"(", "answer": "1"})");
  EXPECT_THAT(error_of([&] { other.train(); }), HasSubstr("train.jsonl, line 3: a prompt of 117"));
  EXPECT_FALSE(posix_file_system().exists(other.options.train.run_dir));
}

TEST(TrainerErrors, PromptsThatAreNone) {
  TinyRun run;
  run.write("train.jsonl", R"({"prompt": "", "answer": "1"})");
  EXPECT_THAT(error_of([&] { run.train(); }),
              HasSubstr("train.jsonl, line 1: the prompt is empty"));
  run.write("train.jsonl", R"({"ids": [3, 24], "answer": "1"})");
  EXPECT_THAT(error_of([&] { run.train(); }),
              HasSubstr("train.jsonl, line 1: token 24 of the prompt is outside the model's "
                        "vocabulary of 24"));
  run.write("train.jsonl", R"({"prompt": "1="})");
  EXPECT_THAT(error_of([&] { run.train(); }), HasSubstr("train.jsonl, line 1"));
}

TEST(TrainerErrors, APenaltyThatIsNoNumberNamesTheQuery) {
  TinyRun run;
  run.options.reward.overlong_tokens = 12;
  run.options.reward.overlong_penalty = std::numeric_limits<double>::infinity();
  run.options.data.test.clear();
  EXPECT_THAT(error_of([&] { run.train(); }), HasSubstr("query "));
}

TEST(TrainerErrors, WeightsThatAreNoNumbers) {
  TinyRun run;
  run.model.decoder.parameters().values().fill_(std::numeric_limits<double>::quiet_NaN());
  run.model.decoder.save(run.model.directory.path(), at::kDouble);
  EXPECT_THAT(error_of([&] { run.train(); }), HasSubstr("nan"));
}

// The square of such an entropy bonus is beyond all numbers, so that no gradient has a finite norm:
// two updates a step, three in a row.
TEST(TrainerErrors, GradientsThatAreNotFiniteEndTheRun) {
  TinyRun run;
  run.options.objective.entropy_beta = 1e200;
  run.options.train.max_skipped_updates = 3;
  run.options.train.max_steps = 5;
  RecordingTerminal screen(false);
  {
    const ScopedTerminal scope(screen.terminal());
    EXPECT_THAT(error_of([&] { run.train(); }),
                AllOf(HasSubstr("step 2: 3 updates in a row had a gradient that is not finite"),
                      HasSubstr(run.path("checkpoints/step-000002")),
                      HasSubstr("lower optimizer.learning_rate")));
  }
  // Each warning names the queries of its update, in the order of the samples.
  std::vector<std::string> ids;
  const std::vector<Json> steps = run.steps();
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0]["update/skipped"], 2);
  EXPECT_EQ(steps[1]["update/skipped"], 1);
  for (const Json& line : steps) EXPECT_FALSE(line.contains("loss") || line.contains("entropy"));
  for (const Json& line : run.lines("samples.jsonl")) {
    if (line["step"] == 1) ids.push_back(line["query_id"].get<std::string>());
  }
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_THAT(screen.written(),
              AllOf(HasSubstr("warning: step 1: an update was skipped: its gradient's norm is "),
                    HasSubstr(fmt::format("(queries {}, {})", ids[0], ids[1]))));
  // The weights are those of the start, and the run can go on.
  EXPECT_EQ(read_file(run.path("checkpoints/step-000002/model.safetensors")),
            read_file(run.path("checkpoints/step-000000/model.safetensors")));
  EXPECT_THAT(error_of([&] { run.resume({"train.max_skipped_updates=4"}); }),
              HasSubstr("checkpoints/step-000004"));
  EXPECT_EQ(CheckpointStore::load_state(run.path("checkpoints/step-000004")).skipped.total, 7);
}

// A rate that is far too high: after one update nothing is finite any more.
TEST(TrainerErrors, AWarmStartThatGivesUpLeavesTheWeightsBeforeTheSkippedUpdates) {
  TinyRun run;
  run.options.data.kind = "carry";
  run.options.data.held_out = 4;
  run.options.reward.kind = "carry";
  run.options.warm_start = {.steps = 9, .batch = 2, .learning_rate = 1e300, .warmup_steps = 0};
  run.options.train.max_skipped_updates = 3;
  const std::string folder = run.path("checkpoints/unfinished-warm-start");
  RecordingTerminal screen(false);
  {
    const ScopedTerminal scope(screen.terminal());
    EXPECT_THAT(error_of([&] { run.train(); }),
                AllOf(HasSubstr("warm start, step 4: 3 updates in a row had a gradient that is not "
                                "finite"),
                      HasSubstr("are in " + folder), HasSubstr("lower warm_start.learning_rate"),
                      HasSubstr("--resume begins the warm start anew")));
  }
  EXPECT_THAT(screen.written(), AllOf(HasSubstr("warm start, step 2: an update was skipped"),
                                      HasSubstr("(examples: demonstration 6; demonstration 7)")));
  const std::vector<Json> lines = run.lines("metrics.jsonl");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["warm_start/step"], 4);
  EXPECT_EQ(lines[0]["warm_start/skipped"], 3);

  warm_start(run.model.decoder, run.model.tokenizer, run.options, kCarryEosId, [](const auto&) {});
  const Decoder saved = Decoder::load(folder, at::kCPU, at::kDouble);
  EXPECT_TRUE(at::equal(saved.parameters().values(), run.model.decoder.parameters().values()));
  EXPECT_TRUE(at::isfinite(saved.parameters().values()).all().item<bool>());
  EXPECT_TRUE(posix_file_system().exists(folder + "/tokenizer.json"));
  EXPECT_THAT(error_of([&] { run.resume(); }), HasSubstr("warm start, step 4: 3 updates"));
}

TEST(TrainerErrors, AWarmStartNeedsAnEndOfSequence) {
  TinyRun run;
  run.forget_end_of_sequence();
  run.options.data.kind = "carry";
  run.options.reward.kind = "carry";
  run.options.warm_start.steps = 1;
  EXPECT_THAT(error_of([&] { run.train(); }), HasSubstr("has no end-of-sequence token"));
}

}  // namespace
}  // namespace treepo
