#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"  // Purpose
#include "config/options.h"
#include "rollout/engine.h"
#include "train/training_query.h"
#include "train/trajectory_text.h"

namespace treepo {

struct LoadedModel;  // train/model_setup.h, which brings torch

// What the engine takes from the options of a run. purpose: of the tokens' random numbers.
RolloutSettings rollout_settings(const RunOptions& options, std::vector<int32_t> eos_ids,
                                 Purpose purpose);

// A model and what sampling trees from it takes: its step model on the device, the engine, and the
// text side of the stop rules.
class TreeSampler {
 public:
  // The model must outlive it; a change of its weights is seen at the next sample().
  TreeSampler(const LoadedModel& model, const RunOptions& options, Purpose purpose);
  // Owns the model that the options name; load_model() says where scratch_dir comes in.
  TreeSampler(const RunOptions& options, const std::string& scratch_dir,
              Purpose purpose = Purpose::evaluate);

  // One tree for each query, in their order. The rules of options.stop that go by text are added to
  // `callbacks`. Throws Error where a prompt does not fit the model.
  std::vector<SearchTree> sample(std::span<const TrainingQuery> queries,
                                 RolloutCallbacks callbacks = {});

  const TokenText& text() const { return text_; }
  StepModel& step_model() { return *step_model_; }
  RolloutEngine& engine() { return engine_; }

 private:
  TreeSampler(std::shared_ptr<const LoadedModel> model, const RunOptions& options, Purpose purpose);

  std::shared_ptr<const LoadedModel> model_;  // owned or the caller's
  TokenText text_;
  std::unique_ptr<StepModel> step_model_;
  RolloutEngine engine_;
};

}  // namespace treepo
