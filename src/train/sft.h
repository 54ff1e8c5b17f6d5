#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "config/options.h"
#include "data/query_order.h"
#include "learn/optimizer.h"
#include "train/checkpoint.h"
#include "train/model_setup.h"
#include "train/run_directory.h"
#include "train/run_watch.h"
#include "train/supervised_run.h"

namespace treepo {

struct SftSummary {
  TrainState state;
  std::optional<SupervisedScore> last;  // evaluation of the test examples, where there are any
  std::string run_dir, checkpoint;      // folder of the newest checkpoint
  double seconds = 0;
  bool interrupted = false;
};

// `treepo sft`: learns the responses of options.sft.train, epoch after epoch in a shuffled order
// that depends on train.seed alone, with evaluation, logs and checkpoints as reinforcement learning
// has them. The best checkpoint is that of the lowest test loss.
class SftTrainer {
 public:
  // As Trainer's. Throws Error on anything wrong with options, model or data before work starts.
  SftTrainer(RunOptions options, RunStart start);

  // Until train.max_steps or train.epochs are done, or the watcher asks to stop; then a checkpoint
  // is taken.
  SftSummary run(const RunWatch& watch);

 private:
  std::vector<Example> batch(int64_t step);
  void train_step(Progress& progress);
  bool evaluate_and_log();  // whether it is the best so far
  void save_checkpoint();
  [[noreturn]] void stop_for_skipped_updates();

  RunOptions options_;
  RunPaths paths_;
  CheckpointStore checkpoints_;
  std::optional<std::string> checkpoint_;  // that this run goes on from
  TrainState state_;
  LoadedModel model_;
  std::vector<Example> train_, test_;
  QueryOrder order_;
  SupervisedRun run_;
  AdamW optimizer_;
  std::optional<RunLogs> logs_;
  RunWatch watch_;
  std::optional<SupervisedScore> last_;
};

}  // namespace treepo
