#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/progress.h"
#include "base/timer.h"
#include "config/options.h"
#include "data/data_set.h"
#include "learn/optimizer.h"
#include "learn/update.h"
#include "reward/verifier.h"
#include "train/batch_collector.h"
#include "train/checkpoint.h"
#include "train/evaluation.h"
#include "train/model_setup.h"
#include "train/reference_model.h"
#include "train/run_directory.h"
#include "train/run_watch.h"
#include "train/step_metrics.h"
#include "train/trajectory_text.h"
#include "train/tree_sampler.h"

namespace treepo {

// What a finished (or interrupted) run has to show for itself.
struct TrainSummary {
  TrainState state;
  std::optional<EvaluationResult> last_evaluation;
  std::string run_dir, checkpoint;  // folder of the newest checkpoint
  double seconds = 0;
  bool interrupted = false;
};

// What a user of the library puts in place of what options name.
struct TrainerParts {
  std::unique_ptr<Verifier> verifier{};  // null: that of options.reward
  // Of training's rollouts; those that the trainer needs itself are overwritten: judge_segment,
  // ends_with_stop_string, score_leaves, progress.
  RolloutCallbacks callbacks{};
};

// The whole loop: warm start, then for each step sample, verify, credit, update, log.
class Trainer {
 public:
  using Start = RunStart;

  // fresh: makes options.train.run_dir and saves the resolved options in it. resume: goes on from
  // its newest checkpoint, or from the beginning where there is none yet.
  // Throws Error on anything wrong with options, model or data before work starts.
  Trainer(RunOptions options, Start start, TrainerParts parts = {});

  // Until max_steps (or epochs) are done, or the watcher asks to stop; then a checkpoint is taken.
  TrainSummary run(const RunWatch& watch);

 private:
  void run_warm_start();
  void train_step(Progress& progress);
  // Fills in advantages (and KL penalties) of the trees, which must outlive what is returned. Empty
  // where a KL penalty is not finite.
  std::vector<TrainingTree> credited_trees(std::vector<ScoredTree>& trees,
                                           const ObjectiveOptions& objective, PhaseTimes& times);
  void add_logprobs(std::vector<TrainingTree>& training, PhaseTimes& times);
  // training[i] is of trees[i]; an empty one is an update that is skipped.
  BatchUpdate update(const std::vector<ScoredTree>& trees,
                     const std::vector<TrainingTree>& training, const ObjectiveOptions& objective,
                     double learning_rate, PhaseTimes& times, Progress& progress);
  void count_tokens(const SearchTree& tree);
  void log_samples(const CollectedBatch& batch);
  RolloutCallbacks rollout_callbacks(Progress& progress);
  bool evaluate_and_log();  // whether it is the best so far
  void save_checkpoint();
  // Of the run, as far as is known: each step takes at least queries_per_step of what epochs leave,
  // and dynamic sampling may take more. Never grows, and is exact at the last step.
  int64_t total_steps() const;
  bool finished() const;
  [[noreturn]] void stop_for_skipped_updates();

  RunOptions options_;
  RolloutCallbacks callbacks_;  // the user's
  RunPaths paths_;
  CheckpointStore checkpoints_;
  std::optional<std::string> checkpoint_;  // that this run goes on from
  TrainState state_;
  std::unique_ptr<Verifier> verifier_;
  DataSet data_;
  LoadedModel model_;
  AdamW optimizer_;
  TreeSampler sampler_;
  const TokenText& text_;  // sampler_'s
  std::vector<TrainingQuery> test_queries_;
  BatchCollector collector_;
  std::optional<RunLogs> logs_;
  RunWatch watch_;
  ReferenceModel reference_;
  std::optional<EvaluationResult> last_evaluation_;
  double last_success_ = 0;
};

}  // namespace treepo
