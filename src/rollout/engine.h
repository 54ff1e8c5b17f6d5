#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "base/random.h"
#include "config/options.h"
#include "model/step_model.h"
#include "tree/search_tree.h"
#include "tree/stop_rules.h"  // SegmentFacts

namespace treepo {

struct Query {
  uint64_t id = 0;     // stable number of the problem: with `visit` it names the random numbers
  uint64_t visit = 0;  // how many times the problem was rolled out before
  std::vector<int32_t> prompt{};
};

struct RolloutSettings {
  GrowthOptions growth{};
  StopOptions stop{};
  SamplingOptions sampling{};
  EngineOptions engine{};
  std::vector<int32_t> eos_ids{};
  uint64_t seed = 0;
  Purpose purpose = Purpose::train;  // of the tokens' random numbers
  double training_share = 0;         // how much of the training run is done, in [0, 1]
};

struct RolloutProgress {
  int64_t queries = 0, finished_queries = 0;
  int64_t growing_trees = 0;
  int64_t active_paths = 0;  // of all growing trees, those that wait for a row included
  int64_t drawn_tokens = 0, prefilled_tokens = 0;
  double seconds = 0;  // since run() began
};

// What leaves are worth, one number each: known, or to be waited for. There is no way to ask
// whether the latter have come: which trees decode beside each other must not depend on how fast a
// verifier is, or a run would not repeat.
class LeafScores {
 public:
  LeafScores(std::vector<double> scores) : wait_([s = std::move(scores)] { return s; }) {}
  // wait: is called once.
  explicit LeafScores(std::function<std::vector<double>()> wait)
      : wait_(std::move(wait)), known_(false) {}

  std::vector<double> wait() const { return wait_(); }
  bool known() const { return known_; }

 private:
  std::function<std::vector<double>()> wait_;
  bool known_ = true;
};

// What the engine asks of and tells its user; all optional. A node is complete when it is shown.
// What is decided must follow from the arguments alone, or a run is not repeated by its seed.
struct RolloutCallbacks {
  // A segment has ended: what its text says. Needed where an answer or repetition stops paths.
  std::function<SegmentFacts(const Query&, const SearchTree&, int32_t node)> judge_segment{};
  // After each token, only if stop strings are set: whether the text of the path ends with one.
  std::function<bool(const Query&, const SearchTree&, int32_t node)> ends_with_stop_string{};
  // At the tree's barriers, in the order of tree.leaves().
  std::function<void(const Query&, const SearchTree&, int32_t leaf)> trajectory_done{};
  // At a barrier: what the finished trajectories among the new ones are worth, one number each, 1
  // for verified and 0 for not. Where they are not known others go on for some steps before they
  // are waited for. Needed where divergence or pruning goes by value.
  std::function<LeafScores(size_t query_index, const Query&, const SearchTree&,
                           std::span<const int32_t> leaves)>
      score_leaves{};
  // At a barrier where the budget has more than one child for each active path: the children of
  // each, in place of rollout.divergence. At least 1 each, at most `budget` together, else Error.
  std::function<std::vector<int32_t>(const Query&, const SearchTree&,
                                     std::span<const int32_t> active, int32_t budget)>
      split_budget{};
  // Trees end in no fixed order.
  std::function<void(size_t query_index, const Query&, const SearchTree&)> tree_done{};
  std::function<void(const RolloutProgress&)> progress{};  // after each step
};

// Sums over all runs of an engine.
struct RolloutStats {
  int64_t steps = 0;
  int64_t rows = 0;               // rows that the model ran
  int64_t prefilled_tokens = 0;   // rows of prompts, and of segments whose pages were given up
  int64_t drawn_tokens = 0;       // unique tokens
  int64_t trajectory_tokens = 0;  // sum of the trajectories' lengths
  int64_t trees = 0, trajectories = 0, discarded_paths = 0, pruned_paths = 0;
  int64_t suspensions = 0;        // paths that gave up their pages to older ones for a while
  int64_t evicted_entries = 0;    // segments whose pages were given up
  double cut_mass = 0;            // sum over draws of what top-k, top-p and min-p cut off
  double model_seconds = 0;       // in StepModel::step
  double scheduling_seconds = 0;  // the rest, without callbacks
  double callback_seconds = 0;
};

// Samples trees for many queries at once. A sample depends on the settings, the query's id, visit
// and prompt, and the model's logits: not on the batch around it, nor on rows, pages or memory. The
// one exception: with budget tokens_per_step the number of queries of a run, which share them.
class RolloutEngine {
 public:
  // The model is shared: other engines may use it between two runs. Throws Error naming the option
  // that is out of range.
  RolloutEngine(StepModel& model, RolloutSettings settings);

  // Trees in the order of the queries. Throws Error before sampling starts on an empty prompt, a
  // token outside the vocabulary, a context too short for prompt and response, a cache too small.
  std::vector<SearchTree> run(std::span<const Query> queries,
                              const RolloutCallbacks& callbacks = {});

  // Of the runs that follow.
  void set_training_share(double share);

  const RolloutStats& stats() const { return stats_; }
  const RolloutSettings& settings() const { return settings_; }

 private:
  StepModel& model_;
  RolloutSettings settings_;
  RolloutStats stats_;
};

}  // namespace treepo
