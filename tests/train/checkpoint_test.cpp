#include "train/checkpoint.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <optional>
#include <string>

#include "base/files.h"
#include "base/json.h"
#include "data/carry_task.h"
#include "learn/update.h"
#include "model/decoder.h"
#include "support/expect_error.h"
#include "support/faulty_file_system.h"
#include "support/temporary_directory.h"
#include "text/tokenizer.h"

namespace treepo {
namespace {

Decoder small_decoder(uint64_t seed) {
  ModelOptions options;
  options.hidden_size = 16;
  options.num_layers = 1;
  options.num_heads = 2;
  options.num_kv_heads = 1;
  options.intermediate_size = 16;
  options.max_positions = 16;
  const ModelConfig config =
      fresh_model_config(options, kCarryVocabularySize, {.eos = kCarryEosId, .pad = kCarryPadId});
  return Decoder::random(config, seed, at::kCPU, at::kFloat);
}

// A run folder with a tokenizer, and what a checkpoint of step N holds: weights of seed N.
struct RunFolder {
  RunFolder() { write_carry_tokenizer(tokenizer()); }
  std::string tokenizer() const {
    const std::string path = directory / "tokenizer";
    posix_file_system().make_directories(path);
    return path;
  }
  void save(int64_t step, int64_t best = -1, int64_t keep = 2) const {
    Decoder decoder = small_decoder(static_cast<uint64_t>(step));
    const AdamW optimizer = make_optimizer(decoder, OptimizerOptions{});
    TrainState state;
    state.step = step;
    state.best_step = best;
    CheckpointStore(directory.path(), keep).save(state, decoder, optimizer, tokenizer());
  }
  // Step of the newest checkpoint, after making sure that it is whole; -1: none.
  int64_t newest() const {
    const std::optional<std::string> folder = CheckpointStore(directory.path(), 2).latest();
    if (!folder) return -1;
    const TrainState state = CheckpointStore::load_state(*folder);
    const Decoder decoder = Decoder::load(*folder, at::kCPU, at::kFloat);
    EXPECT_TRUE(at::equal(decoder.parameters().values(),
                          small_decoder(static_cast<uint64_t>(state.step)).parameters().values()));
    CheckpointStore::load_optimizer(*folder);
    Tokenizer::load(*folder);
    return state.step;
  }

  TemporaryDirectory directory;
};

TEST(CheckpointStore, AKillAtAnyCallLeavesTheOldOrTheNewCheckpointWhole) {
  bool killed = true;
  int64_t old_ones = 0;
  for (int64_t call = 1; killed; ++call) {
    const RunFolder run;
    run.save(1);
    FaultyFileSystem faulty;
    faulty.kill_at(call);
    faulty.lose_unsynced_at_kill();
    try {
      const ScopedFileSystem scope(faulty);
      run.save(2);
      killed = false;
    } catch (const SimulatedKill&) {
    }
    const int64_t newest = run.newest();
    EXPECT_TRUE(newest == 1 || newest == 2) << "killed at call " << call;
    if (!killed) {
      EXPECT_EQ(newest, 2);
    }
    if (newest == 1) ++old_ones;

    CheckpointStore(run.directory.path(), 2).remove_incomplete();
    run.save(2);  // what a resumed run does
    EXPECT_EQ(run.newest(), 2) << "resumed after a kill at call " << call;
  }
  EXPECT_GT(old_ones, 5);
}

TEST(CheckpointStore, AFullDiskIsAnErrorAndTheOldCheckpointStays) {
  const RunFolder run;
  run.save(1);
  for (int64_t call : {1, 4, 9}) {
    FaultyFileSystem faulty;
    faulty.fail_from(call, ENOSPC);
    const ScopedFileSystem scope(faulty);
    EXPECT_THROW(run.save(2), FileError) << "full from call " << call;
  }
  EXPECT_EQ(run.newest(), 1);
}

TEST(CheckpointStore, KeepsTheNewestAndTheBest) {
  const RunFolder run;
  for (int64_t step = 1; step <= 5; ++step) run.save(step, step >= 2 ? 2 : -1);
  const std::string root = run.directory / "checkpoints";
  EXPECT_EQ(posix_file_system().list(root),
            (std::vector<std::string>{"best", "step-000002", "step-000004", "step-000005"}));
  EXPECT_EQ(CheckpointStore::load_state(join_path(root, "best")).step, 2);
}

TEST(CheckpointStore, AStateThatDoesNotFitIsNamed) {
  const RunFolder run;
  run.save(1, -1);
  const std::string folder = run.directory / "checkpoints/step-000001";
  const std::string path = join_path(folder, "state.json");
  const Json good = read_json_file(path);
  for (const auto& [key, value] : good.items()) {
    Json bad = good;
    bad[key] = "x";
    write_file_atomically(path, dump_json(bad));
    const std::string error = error_of([&] { CheckpointStore::load_state(folder); });
    EXPECT_NE(error.find(path), std::string::npos) << key << ": " << error;
    EXPECT_NE(error.find(key), std::string::npos) << error;
  }
}

}  // namespace
}  // namespace treepo
