#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/options.h"
#include "rollout/engine.h"
#include "train/model_setup.h"
#include "train/training_query.h"

namespace treepo {

// Rolls out one tree for each query with the options' growth, stop rules and sampling, and hands
// the lines of trees.jsonl to `write`, in the order of the queries, each as soon as it and all
// before it are complete. Where `score` is set the verifier of options.reward judges every
// trajectory.
RolloutStats sample_trees(LoadedModel& model, const RunOptions& options,
                          const std::vector<TrainingQuery>& queries, bool score,
                          const std::function<void(const std::string& line)>& write);

}  // namespace treepo
