#pragma once

#include <cstdint>
#include <string>

#include "base/metrics.h"
#include "base/timer.h"
#include "learn/update.h"
#include "rollout/engine.h"
#include "train/batch_collector.h"

namespace treepo {

// The optimiser steps of one batch together.
struct BatchUpdate {
  ObjectiveStatistics objective;  // of the updates that were made
  // Of the updates before the weights changed: the sampler's and the trainer's log-probs of the
  // same weights. All updates' where old log-probs were recomputed.
  ObjectiveStatistics same_weights;
  double gradient_norm_sum = 0, gradient_norm_max = 0;
  int64_t steps = 0, skipped = 0;
  int64_t trajectory_tokens = 0, unique_tokens = 0, packed_tokens = 0;
  double pack_seconds = 0;

  void add(const UpdateReport& report, bool weights_as_sampled);
};

// metrics.jsonl's line of one training step. What was not measured is left out: everything about
// the loss where no update was made, `kl` where there is no reference.
Metrics step_metrics(const CollectedBatch& batch, const BatchUpdate& update,
                     const RolloutStats& before, const RolloutStats& after, double learning_rate,
                     const PhaseTimes& times, double seconds);

// A line for people: "step 12/200  success 43.0 %  reward 0.430  …".
std::string step_line(int64_t step, int64_t max_steps, const Metrics& metrics);

// Share of the batch's trajectories (dropped trees included) whose answer is right.
double success_rate(const CollectedBatch& batch);

}  // namespace treepo
