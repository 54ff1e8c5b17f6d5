#include "rollout/scheduler.h"

#include <algorithm>
#include <ranges>

#include "base/error.h"
#include "tree/budget.h"

namespace treepo {

Scheduler::Scheduler(const RolloutSettings& settings, const GrowthFacts& facts, TreeCache& cache)
    : max_rows_(static_cast<int32_t>(
          std::min(settings.engine.max_rows, settings.engine.max_step_tokens))),
      max_step_tokens_(static_cast<int32_t>(settings.engine.max_step_tokens)),
      segment_pages_(cache.pages_for(std::min(settings.growth.segment_tokens,
                                              longest_response(settings.growth, settings.stop)))),
      growth_(settings.growth),
      facts_(facts),
      cache_(cache),
      attention_(cache) {}

void Scheduler::choose(const LiveTrees& trees) {
  scheduled_.clear();
  waits_for_pages_ = false;
  int32_t running_later = 0;  // running fronts that come later in the order
  for (const auto& tree : trees) running_later += tree->running_fronts();
  for (const auto& tree : trees) {
    if (static_cast<int32_t>(scheduled_.size()) == max_rows_ && running_later == 0) return;
    running_later = choose_from(*tree, running_later);
  }
}

int32_t Scheduler::choose_from(LiveTree& tree, int32_t running_later) {
  std::vector<Front>& fronts = tree.fronts();
  for (size_t i = 0; i < fronts.size(); ++i) {
    Front& front = fronts[i];
    const bool row_free = static_cast<int32_t>(scheduled_.size()) < max_rows_;
    if (front.running) {
      --running_later;
      if (!row_free) tree.suspend(front);
    } else if (row_free && !waits_for_pages_) {
      // It may take pages from younger fronts; without those it must not press for pages that the
      // older ones will soon ask back.
      if (running_later > 0 || may_start(tree, front)) {
        tree.start(front);
      } else {
        waits_for_pages_ = true;
      }
    }
    if (front.running) scheduled_.push_back({.tree = &tree, .front_index = i});
  }
  return running_later;
}

bool Scheduler::may_admit(const LiveTrees& trees, size_t prompt_tokens) const {
  if (trees.empty()) return true;
  int64_t paths = 0;
  int64_t next_paths =
      largest_next_budget(growth_, facts_, largest_first_split(growth_, facts_), 0);
  for (const auto& tree : trees) {
    paths += tree->active_paths();
    next_paths += largest_next_budget(growth_, facts_, tree->round_paths(),
                                      static_cast<int32_t>(tree->tree().leaves().size()));
  }
  const int64_t available = cache_.pool().num_free() + cache_.num_evictable_pages();
  const int64_t wanted =
      cache_.pages_for(static_cast<int64_t>(prompt_tokens)) + next_paths * segment_pages_;
  return paths < max_rows_ && !waits_for_pages_ && available >= wanted;
}

// Whether there are pages for all that is missing on its path and a segment of every front, its own
// among them.
bool Scheduler::may_start(const LiveTree& tree, const Front& front) const {
  if (scheduled_.empty()) return true;
  int64_t missing_pages = 0, own_evictable_pages = 0;
  int32_t needed = front.used;
  for (int32_t entry = tree.cache_entry(front.node); entry >= 0;) {
    const auto pages = static_cast<int32_t>(cache_.pages(entry).size());
    const bool own_segment =
        front.first_child == front.node && entry == tree.cache_entry(front.node);
    if (!own_segment) missing_pages += std::max(0, cache_.pages_for(needed) - pages);
    if (!cache_.in_use(entry)) own_evictable_pages += pages;
    needed = cache_.parent_used_tokens(entry);
    entry = cache_.parent(entry);
  }
  const int64_t available =
      cache_.pool().num_free() + cache_.num_evictable_pages() - own_evictable_pages;
  return available >= missing_pages + static_cast<int64_t>(scheduled_.size() + 1) * segment_pages_;
}

void Scheduler::fill(StepBatch& batch) {
  attention_.clear();
  // One token is reserved for each front. scheduled_ may get shorter on the way: see make_room().
  int32_t spare = max_step_tokens_ - static_cast<int32_t>(scheduled_.size());
  for (size_t i = 0; i < scheduled_.size(); ++i) {
    int32_t allowance = spare + 1;
    if (feed(i, allowance, batch)) add_draws(scheduled_[i], batch);
    spare = allowance;
  }
  attention_.build(batch.attention);
}

// What must be stored before the front's next token can be drawn, leaf first. Where a token of a
// node is stored, all that lies above it is (TreeCache::check_invariants).
void Scheduler::list_missing(const LiveTree& tree, const Front& front) {
  missing_.clear();
  int32_t node = front.node, needed = front.used;
  for (int32_t entry = tree.cache_entry(node); entry >= 0;) {
    const int32_t stored = cache_.stored(entry);
    if (stored < needed) missing_.push_back({.node = node, .entry = entry, .tokens = needed});
    if (stored > 0) return;
    needed = cache_.parent_used_tokens(entry);
    entry = cache_.parent(entry);
    node = tree.tree().node(node).parent;
  }
}

// Feeds up to `allowance` tokens, which it lowers. True if the front's last token is among them.
bool Scheduler::feed(size_t index, int32_t& allowance, StepBatch& batch) {
  const LiveTree& tree = *scheduled_[index].tree;
  const Front& front = scheduled_[index].front();
  list_missing(tree, front);
  if (missing_.empty()) {
    feed_again(tree, front, batch);
    --allowance;
    return true;
  }
  for (const Missing& missing : std::views::reverse(missing_)) {
    const std::span<const int32_t> tokens = tree.node_tokens(missing.node);
    const int32_t position = tree.first_position(missing.node);
    int32_t i = cache_.stored(missing.entry);
    while (i < missing.tokens) {
      const int32_t wanted = std::min(missing.tokens - i, allowance);
      const int32_t placed = cache_.append(missing.entry, wanted, batch.slots);
      allowance -= placed;
      for (const int32_t end = i + placed; i < end; ++i) {
        batch.tokens.push_back(tokens[static_cast<size_t>(i)]);
        batch.positions.push_back(position + i);
        attention_.add_query(missing.entry, i + 1);
      }
      const bool complete = i == missing.tokens && missing.node == front.node;
      // All but the last token were stored once before, unless they are the prompt's.
      prefilled_tokens_ += placed - (complete && front.node != 0 ? 1 : 0);
      if (i < missing.tokens && (allowance == 0 || !make_room(index))) return false;
    }
  }
  return true;
}

// Everything is stored: the last token runs again, for its logits.
void Scheduler::feed_again(const LiveTree& tree, const Front& front, StepBatch& batch) {
  const int32_t last = front.used - 1;
  batch.tokens.push_back(tree.node_tokens(front.node)[static_cast<size_t>(last)]);
  batch.positions.push_back(tree.first_position(front.node) + last);
  batch.slots.push_back(-1);
  attention_.add_query(tree.cache_entry(front.node), front.used);
  ++prefilled_tokens_;
}

void Scheduler::add_draws(Scheduled& scheduled, StepBatch& batch) {
  const Front& front = scheduled.front();
  scheduled.first_draw = static_cast<int32_t>(batch.draws.size());
  for (int32_t copy = 0; copy < front.copies; ++copy) {
    batch.draws.push_back({.row = batch.num_rows() - 1,
                           .uniform = scheduled.tree->next_uniform(front.first_child + copy)});
  }
}

// Frees what a path's segments hold beyond the tokens at which it left them. Only where nothing
// but this path has pages.
bool Scheduler::trim_path(const Scheduled& scheduled) {
  bool freed = false;
  int32_t used = scheduled.front().used;
  for (int32_t entry = scheduled.tree->cache_entry(scheduled.front().node); entry >= 0;) {
    freed |= cache_.trim(entry, used);
    used = cache_.parent_used_tokens(entry);
    entry = cache_.parent(entry);
  }
  return freed;
}

// Frees pages of what nobody uses, else suspends the youngest front, if it is younger than the one
// that asks: a front whose tokens are in the batch already keeps its pages.
bool Scheduler::make_room(size_t for_index) {
  if (cache_.evict_one()) {
    ++evicted_entries_;
    return true;
  }
  if (scheduled_.size() == for_index + 1) {
    if (for_index > 0) return false;
    TREEPO_CHECK(trim_path(scheduled_[0]), "the cache of {} pages is too small for one path",
                 cache_.pool().num_pages());
    return true;
  }
  const Scheduled youngest = scheduled_.back();
  scheduled_.pop_back();
  youngest.tree->suspend(youngest.front());
  ++suspensions_;
  return true;
}

}  // namespace treepo
