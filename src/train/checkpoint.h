#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "learn/optimizer.h"
#include "model/decoder.h"
#include "train/skipped_updates.h"

namespace treepo {

// What a run needs besides weights and optimiser to go on as if it had never stopped.
struct TrainState {
  int64_t step = 0;           // steps done
  int64_t next_position = 0;  // next query of the data order
  int64_t metrics_bytes = 0;  // sizes of the logs when the checkpoint was taken:
  int64_t samples_bytes = 0;  // a resumed run cuts them back to these
  int64_t best_step = -1;     // step with the best evaluation so far; -1: none
  double best_score = 0;
  // Of the evaluation at step 0, and of its problems that do not occur in training; -1: none.
  double first_pass_at_1 = -1, first_greedy = -1;
  double first_unseen_pass_at_1 = -1, first_unseen_greedy = -1;
  double first_loss = -1, first_token_accuracy = -1;  // of test examples, in supervised training
  int64_t unique_tokens = 0;                          // decoded in training so far
  int64_t trajectory_tokens = 0;                      // sum of the trajectories' lengths so far
  SkippedUpdates skipped = {};
  int64_t threads = 0;  // results repeat bit by bit with the same number only
};

// RUN/checkpoints/step-000050/: model.safetensors, config.json and tokenizer files (a Hugging Face
// directory; of a decoder with adapters PEFT's adapter directory instead), optimizer.state,
// state.json, and DONE, written last. The optimiser's file is a safetensors file under another
// name: vLLM takes every *.safetensors of a model's directory for weights. A folder without DONE is
// not a checkpoint. `best` is a link to the one with the best evaluation.
class CheckpointStore {
 public:
  CheckpointStore(std::string run_dir, int64_t keep);

  // Writes under a temporary name, syncs, renames, then marks it DONE and removes what is neither
  // among the newest `keep` nor the best. Throws Error (full disk, …) and leaves older ones as they
  // are. `add_files`, if given, may write more into the folder, whose step it is told.
  void save(const TrainState& state, const Decoder& decoder, const AdamW& optimizer,
            const std::string& tokenizer_dir,
            const std::function<void(const std::string& folder, int64_t step)>& add_files = {});

  // The model alone, as a Hugging Face directory that no run is resumed from. Returns it.
  std::string save_unfinished_warm_start(const Decoder& decoder, const std::string& tokenizer_dir);

  // The newest complete checkpoint's folder.
  std::optional<std::string> latest() const;
  std::string folder(int64_t step) const;

  // The model is loaded from the same folder by load_decoder.
  static TrainState load_state(const std::string& folder);
  static AdamWState load_optimizer(const std::string& folder);

  // Removes folders that a killed process left half written.
  void remove_incomplete();
  // The end of save(): points `best` at the newest checkpoint, whose state this is, if it is the
  // best, and removes those that are not kept. A run that resumes does it again, for a full disk or
  // a kill may have come in between.
  void finish_save(const TrainState& newest);

 private:
  std::vector<int64_t> complete_steps() const;  // ascending
  void point_best_at(int64_t step);
  void prune(const TrainState& state);

  std::string root_;
  int64_t keep_;
};

}  // namespace treepo
