#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "app/run_program.h"

namespace treepo {

inline const std::string kQuickstart = TREEPO_SOURCE_DIR "/configs/quickstart.toml";

// A run of the quickstart's task that takes a fraction of a second.
inline Words tiny_train(const std::string& run_dir, const Words& more = {}) {
  return Words{"train", kQuickstart} +
         sets(Words{"model.hidden_size=16", "model.num_layers=1", "model.num_heads=2",
                    "model.num_kv_heads=1", "model.intermediate_size=32", "warm_start.steps=5",
                    "warm_start.batch=4", "train.max_steps=2", "train.queries_per_step=2",
                    "train.dynamic_sampling=false", "update.updates_per_batch=1", "rollout.width=4",
                    "evaluate.queries=4", "evaluate.samples=2", "evaluate.every=0",
                    "train.checkpoint_every=1", "data.held_out=20", "train.run_dir=" + run_dir} +
              more);
}

// A Hugging Face directory of a fresh model with the quickstart's tokenizer, 24 tokens and a
// context of 128, in a folder of its own: for a test that damages it.
class TinyModelDirectory {
 public:
  TinyModelDirectory() {
    std::filesystem::copy(master(), path_, std::filesystem::copy_options::recursive);
  }
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  // Made once for the test program.
  static std::string master() {
    static const TemporaryDirectory folder;
    static const ProgramResult made =
        run_program(tiny_train(folder / "run", {"train.max_steps=0"}) + Words{"--quiet"});
    EXPECT_EQ(made.code, 0) << made.err;
    return folder / "run/checkpoints/step-000000";
  }

  TemporaryDirectory folder_;
  std::string path_ = folder_ / "model";
};

}  // namespace treepo
