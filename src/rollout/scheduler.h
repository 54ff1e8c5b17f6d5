#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kv/attention_builder.h"
#include "kv/tree_cache.h"
#include "model/step_model.h"
#include "rollout/engine.h"  // RolloutSettings
#include "rollout/live_tree.h"

namespace treepo {

using LiveTrees = std::vector<std::unique_ptr<LiveTree>>;  // the oldest first

// Decides which fronts get rows in the next step, finds places for their tokens, writes the batch.
// Fronts are served in order: older trees first, within a tree in the order of its fronts.
// Under pressure pages are given up in this order: entries that no running front needs, then those
// of the youngest running front, which is suspended and prefilled again later, last what the oldest
// front's path does not use of its own segments. The oldest front can always go on, so that every
// tree ends.
class Scheduler {
 public:
  Scheduler(const RolloutSettings& settings, const GrowthFacts& facts, TreeCache& cache);

  // Chooses the fronts of the next step, at most max_rows.
  void choose(const LiveTrees& trees);
  // After choose(): whether a query with that prompt may enter, because a row is free, nothing
  // waits for pages, and there are pages for the prompt and for a segment of as many paths as all
  // trees may have after their next barrier (largest_next_budget). Fallback is not counted: where
  // it asks for more paths, all of its tree's have stopped, and what only they use can be given up.
  // admit() then adds its fronts to the chosen ones.
  bool may_admit(const LiveTrees& trees, size_t prompt_tokens) const;
  void admit(LiveTree& tree) { choose_from(tree, /*running_later=*/0); }
  // Writes their tokens, at least one for each front and max_step_tokens at most. Prompts and
  // segments that must be stored first are fed in pieces of what is left over.
  void fill(StepBatch& batch);

  struct Scheduled {
    LiveTree* tree = nullptr;
    size_t front_index = 0;
    int32_t first_draw = -1;  // index into batch.draws; -1: the front does not draw in this step

    Front& front() const { return tree->fronts()[front_index]; }
  };
  std::span<const Scheduled> scheduled() const { return scheduled_; }

  int64_t prefilled_tokens() const { return prefilled_tokens_; }
  int64_t suspensions() const { return suspensions_; }
  int64_t evicted_entries() const { return evicted_entries_; }

 private:
  // The first `tokens` tokens of a node that must be stored, some of which are not.
  struct Missing {
    int32_t node, entry, tokens;
  };

  int32_t choose_from(LiveTree& tree, int32_t running_later);
  bool may_start(const LiveTree& tree, const Front& front) const;
  void list_missing(const LiveTree& tree, const Front& front);
  bool feed(size_t index, int32_t& allowance, StepBatch& batch);
  void feed_again(const LiveTree& tree, const Front& front, StepBatch& batch);
  void add_draws(Scheduled& scheduled, StepBatch& batch);
  bool trim_path(const Scheduled& scheduled);
  bool make_room(size_t for_index);

  int32_t max_rows_, max_step_tokens_;
  int64_t segment_pages_;  // of one whole segment
  GrowthOptions growth_;
  GrowthFacts facts_;
  TreeCache& cache_;
  AttentionBuilder attention_;
  std::vector<Scheduled> scheduled_;
  std::vector<Missing> missing_;
  bool waits_for_pages_ = false;
  int64_t prefilled_tokens_ = 0, suspensions_ = 0, evicted_entries_ = 0;
};

}  // namespace treepo
