// Training low-rank adapters: the base stays, sampler and trainer see the same weights, runs go on
// bit by bit, and an adapter's folder is a model for what comes next.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/adapter_files.h"
#include "support/expect_error.h"
#include "support/faulty_file_system.h"
#include "tiny_run.h"

namespace treepo {
namespace {

using testing::HasSubstr;

std::unique_ptr<TinyRun> lora_run(const std::string& dtype = "float64") {
  auto run = std::make_unique<TinyRun>();
  run->options.model.dtype = dtype;
  run->options.lora = {.rank = 2, .alpha = 4, .targets = {"q_proj", "v_proj", "down_proj"}};
  run->options.train.max_steps = 4;
  run->options.train.checkpoint_every = 2;
  run->options.objective.kl_beta = 0.05;
  run->options.evaluate.every = 3;
  return run;
}

TEST(Lora, TrainsTheAdaptersAlone) {
  const auto run = lora_run();
  const std::string base = read_file(run->options.model.path + "/model.safetensors");
  const TrainSummary summary = run->train();
  EXPECT_EQ(read_file(run->options.model.path + "/model.safetensors"), base);
  EXPECT_FALSE(posix_file_system().exists(run->path("reference")));
  for (const std::string name : {"adapter_config.json", "adapter_model.safetensors",
                                 "tokenizer.json", "optimizer.state", "state.json", "DONE"})
    EXPECT_TRUE(posix_file_system().exists(join_path(summary.checkpoint, name))) << name;
  EXPECT_FALSE(posix_file_system().exists(join_path(summary.checkpoint, "model.safetensors")));

  const Decoder trained = load_decoder(summary.checkpoint, at::kCPU, at::kDouble);
  EXPECT_TRUE(trained.parameters().values().equal(run->model.decoder.parameters().values()));
  double moved = 0;
  for (const auto& [name, tensor] : trained.adapters()->parameters().named_tensors())
    if (name.ends_with("lora_B.weight")) moved += tensor.abs().sum().item<double>();
  EXPECT_GT(moved, 0);
  EXPECT_EQ(CheckpointStore::load_optimizer(summary.checkpoint).first_moment.numel(),
            trained.adapters()->parameters().values().numel());

  // The reference is the model without adapters: no difference before the first update, some later.
  const std::vector<Json> steps = run->steps();
  EXPECT_GT(steps.back().at("kl").get<double>(), 0);
  for (const Json& step : steps) EXPECT_LT(step.at("mismatch/max").get<double>(), 1e-9);
}

TEST(Lora, GoesOnBitByBit) {
  for (const std::string dtype : {"float64", "bfloat16"}) {
    const auto whole = lora_run(dtype);
    whole->train();
    const auto run = lora_run(dtype);
    int64_t left = 3;
    EXPECT_TRUE(run->train(Trainer::Start::fresh, [&] { return --left == 0; }).interrupted);
    run->resume();
    expect_same_logs(*run, *whole);
    expect_same_checkpoint(*run, *whole, "step-000004",
                           {"adapter_model.safetensors", "optimizer.state"});
  }
}

TEST(Lora, GoesOnBitByBitAfterAKillAtAnyCall) {
  const auto whole = lora_run();
  FaultyFileSystem counting;
  {
    const ScopedFileSystem scope(counting);
    whole->train();
  }
  for (int64_t call = 1; call <= counting.num_calls(); call += counting.num_calls() / 7) {
    SCOPED_TRACE(fmt::format("killed at call {} of {}", call, counting.num_calls()));
    const auto run = lora_run();
    FaultyFileSystem faulty;
    faulty.kill_at(call);
    faulty.lose_unsynced_at_kill();
    {
      const ScopedFileSystem scope(faulty);
      EXPECT_THROW(run->train(), SimulatedKill);
    }
    if (posix_file_system().exists(run->path("config.toml")))
      run->resume();
    else
      run->train();
    EXPECT_EQ(without_times(run->lines("metrics.jsonl")),
              without_times(whole->lines("metrics.jsonl")));
    const std::string last = "checkpoints/step-000004/adapter_model.safetensors";
    EXPECT_EQ(read_file(run->path(last)), read_file(whole->path(last)));
  }
}

TEST(Lora, AnAdapterIsAModelToGoOnFrom) {
  const auto first = lora_run();
  const std::string adapter = first->train().checkpoint;
  const auto second = lora_run();
  second->options.model.path = adapter;
  const TrainSummary summary = second->train();
  EXPECT_EQ(adapter_base(summary.checkpoint), first->options.model.path);

  const auto other = lora_run();
  other->options.model.path = adapter;
  other->options.lora.rank = 3;
  EXPECT_THAT(error_of([&] { other->train(); }), HasSubstr("lora.rank = 2"));
  other->options.lora = {};
  EXPECT_THAT(error_of([&] { other->train(); }), HasSubstr("treepo merge"));
}

}  // namespace
}  // namespace treepo
