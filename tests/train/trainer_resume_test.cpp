// Whatever happens to a run, the one that goes on ends as one that nothing happened to.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>

#include "support/expect_error.h"
#include "support/faulty_file_system.h"
#include "tiny_run.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Checkpoints at every other step, a reference that is reset once, old log-probs of both kinds in
// play.
std::unique_ptr<TinyRun> four_steps() {
  auto run = std::make_unique<TinyRun>();
  run->options.train.max_steps = 4;
  run->options.train.checkpoint_every = 2;
  run->options.objective.kl_beta = 0.05;
  run->options.objective.reference_every = 3;
  run->options.evaluate.every = 3;
  return run;
}

const TinyRun& undisturbed() {
  static const std::unique_ptr<TinyRun> run = [] {
    auto made = four_steps();
    made->train();
    return made;
  }();
  return *run;
}

std::function<bool()> after_steps(int64_t steps) {
  return [steps]() mutable { return --steps == 0; };
}

// Ends a run by hand, or in a fault of the file system, then resumes it.
void go_on(const TinyRun& run) {
  if (posix_file_system().exists(run.path("config.toml"))) {
    run.resume();
  } else {
    run.train();
  }
}

TEST(Resume, GoesOnBitByBitAfterAnInterrupt) {
  for (const int64_t steps : {1, 2, 3}) {
    SCOPED_TRACE(steps);
    const auto run = four_steps();
    const TrainSummary summary = run->train(Trainer::Start::fresh, after_steps(steps));
    EXPECT_TRUE(summary.interrupted);
    EXPECT_EQ(summary.state.step, steps);
    EXPECT_EQ(summary.checkpoint, run->path(fmt::format("checkpoints/step-{:06}", steps)));
    const TrainSummary resumed = run->resume({"train.keep_checkpoints=2"});
    EXPECT_EQ(resumed.state.step, 4);
    EXPECT_FALSE(resumed.interrupted);
    expect_same_logs(*run, undisturbed());
    expect_same_checkpoint(*run, undisturbed(), "step-000004");
  }
}

// Rewards depend on the reference, before and after it is reset.
TEST(Resume, KlInTheRewardGoesOnBitByBit) {
  const auto kl_run = [] {
    auto run = four_steps();
    run->options.objective.kl_in_reward = true;
    run->options.objective.beta_schedule = "linear";
    return run;
  };
  const auto whole = kl_run();
  whole->train();
  for (const int64_t steps : {2, 3}) {
    SCOPED_TRACE(steps);
    const auto run = kl_run();
    run->train(Trainer::Start::fresh, after_steps(steps));
    run->resume({"train.keep_checkpoints=2"});
    expect_same_logs(*run, *whole);
    expect_same_checkpoint(*run, *whole, "step-000004");
  }
}

// The float32 copy of half-width weights is part of what a checkpoint keeps.
TEST(Resume, HalfWidthWeightsGoOnBitByBit) {
  const auto bfloat16_run = [] {
    auto run = four_steps();
    run->options.model.dtype = "bfloat16";
    run->options.update.checkpoint_layers = true;
    run->options.optimizer.learning_rate = 1e-4;  // below what bfloat16 weights resolve
    return run;
  };
  const auto whole = bfloat16_run();
  whole->train();
  const auto run = bfloat16_run();
  run->train(Trainer::Start::fresh, after_steps(3));
  run->resume();
  expect_same_logs(*run, *whole);
  expect_same_checkpoint(*run, *whole, "step-000004");
}

TEST(Resume, AnInterruptAfterTheLastStepIsNone) {
  const auto run = four_steps();
  EXPECT_FALSE(run->train(Trainer::Start::fresh, after_steps(4)).interrupted);
  expect_same_run(*run, undisturbed());
}

TEST(Resume, GoesOnBitByBitAfterAKillAtAnyCall) {
  FaultyFileSystem counting;
  {
    const auto run = four_steps();
    const ScopedFileSystem scope(counting);
    run->train();
  }
  ASSERT_GT(counting.num_calls(), 100);
  for (int64_t call = 1; call <= counting.num_calls(); call += counting.num_calls() / 17) {
    SCOPED_TRACE(fmt::format("killed at call {} of {}", call, counting.num_calls()));
    const auto run = four_steps();
    FaultyFileSystem faulty;
    faulty.kill_at(call);
    faulty.lose_unsynced_at_kill();
    {
      const ScopedFileSystem scope(faulty);
      EXPECT_THROW(run->train(), SimulatedKill);
    }
    go_on(*run);
    expect_same_run(*run, undisturbed());
  }
}

TEST(Resume, AFullDiskKeepsTheOlderCheckpoint) {
  FaultyFileSystem counting;
  {
    const auto run = four_steps();
    const ScopedFileSystem scope(counting);
    run->train();
  }
  int64_t in_last_checkpoint = 0;
  for (int64_t back = 2; back <= 60; back += 7) {  // calls before the end
    const int64_t call = counting.num_calls() - back;
    SCOPED_TRACE(fmt::format("full from call {} of {}", call, counting.num_calls()));
    const auto run = four_steps();
    {
      FaultyFileSystem faulty;
      faulty.fail_from(call, ENOSPC);
      const ScopedFileSystem scope(faulty);
      const std::string error = error_of([&] { run->train(); });
      EXPECT_THAT(error, AllOf(HasSubstr("cannot "), HasSubstr("space")));
      in_last_checkpoint += error.find("writing-000004") != std::string::npos;
    }
    const CheckpointStore store(run->options.train.run_dir, 2);
    ASSERT_TRUE(store.latest());
    const int64_t newest = CheckpointStore::load_state(*store.latest()).step;
    EXPECT_GE(newest, 2);
    Decoder::load(*store.latest(), at::kCPU, at::kDouble);
    run->resume();
    expect_same_run(*run, undisturbed());
  }
  EXPECT_GT(in_last_checkpoint, 2);
}

// The checkpoint that a run goes on from is removed in time; the later ones must be whole without.
TEST(Resume, CheckpointsStayWholeWhenTheOneItCameFromIsGone) {
  const auto run = four_steps();
  run->options.train.max_steps = 7;
  run->options.train.checkpoint_every = 1;
  run->train(Trainer::Start::fresh, after_steps(1));
  const TrainSummary summary = run->resume({"train.keep_checkpoints=1"});
  EXPECT_FALSE(posix_file_system().exists(run->path("checkpoints/step-000001")));
  EXPECT_EQ(Tokenizer::load(summary.checkpoint).encode("1+2", true), run->model.encode("1+2"));
}

TEST(Resume, RefusesOptionsThatWouldChangeTheRun) {
  const auto run = four_steps();
  run->train(Trainer::Start::fresh, after_steps(2));
  EXPECT_THAT(error_of([&] { run->resume({"rollout.width=6"}); }),
              AllOf(HasSubstr("rollout.width was 8, now 6"), HasSubstr("train.max_steps")));
  EXPECT_THAT(error_of([&] { run->resume({"train.threads=2"}); }), HasSubstr("train.threads"));
}

// train.threads = 0 takes all cores and is allowed to be what the saved number was not: then the
// checkpoint decides.
TEST(Resume, RefusesAnotherNumberOfThreads) {
  const auto run = four_steps();
  run->train(Trainer::Start::fresh, after_steps(2));
  RunOptions options = run->options;
  options.train.threads = 2;
  EXPECT_THAT(error_of([&] { Trainer(options, Trainer::Start::resume); }),
              HasSubstr("train.threads = 2, but the run was started with 1 threads"));
  options.train.threads = 0;
  Trainer(options, Trainer::Start::resume).run({});
  EXPECT_EQ(CheckpointStore::load_state(run->path("checkpoints/step-000004")).threads, 1);
}

TEST(Resume, TakesOptionsThatMayChange) {
  const auto run = four_steps();
  run->train();
  const TrainSummary summary =
      run->resume({"train.max_steps=6", "evaluate.every=1", "train.keep_checkpoints=1"});
  EXPECT_EQ(summary.state.step, 6);
  EXPECT_EQ(run->evaluations().size(), 5u);  // 0, 3, 4 and 5, 6
  EXPECT_EQ(load_options(run->path("config.toml"), {}).train.max_steps, 6);

  const auto at_once = four_steps();
  at_once->options.train.max_steps = 6;
  at_once->options.evaluate.every = 0;
  at_once->train();
  EXPECT_EQ(without_times(run->steps()), without_times(at_once->steps()));
}

TEST(Resume, AFinishedRunHasNothingToDo) {
  const auto run = four_steps();
  run->train();
  const TrainSummary summary = run->resume();
  EXPECT_EQ(summary.state.step, 4);
  EXPECT_FALSE(summary.last_evaluation);
  EXPECT_EQ(summary.checkpoint, run->path("checkpoints/step-000004"));
  expect_same_run(*run, undisturbed());
}

TEST(Resume, ALogThatWasCutIsNamed) {
  const auto run = four_steps();
  run->train(Trainer::Start::fresh, after_steps(2));
  posix_file_system().truncate(run->path("metrics.jsonl"), 10);
  EXPECT_THAT(error_of([&] { run->resume(); }), HasSubstr("metrics.jsonl"));
}

}  // namespace
}  // namespace treepo
