#include "rollout/live_tree.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace treepo {

namespace {

// A tree waits for scores after this share of the steps that a segment takes: time enough for a
// verifier, and little of the tree's own.
constexpr int64_t kWaitShare = 16;

}  // namespace

LiveTree::LiveTree(size_t query_index, const Query& query, const RolloutSettings& settings,
                   const StopRules& rules, const GrowthFacts& facts, TreeCache& cache)
    : query_index_(query_index),
      query_(query),
      settings_(settings),
      rules_(rules),
      cache_(cache),
      tree_(query.prompt, rules.segment_tokens),
      growth_(settings.growth, settings.seed, query.id, query.visit, facts),
      token_stream_(settings.seed, settings.purpose, query.id, query.visit) {
  entries_.push_back(cache_.add(-1, 0));
  grow(growth_.start(), /*fallback=*/false);
}

LiveTree::~LiveTree() {
  for (Front& front : fronts_) {
    if (front.running) suspend(front);
  }
  while (!entries_.empty()) {
    cache_.remove(entries_.back());
    entries_.pop_back();
  }
}

void LiveTree::grow(const std::vector<Branch>& branches, bool fallback) {
  first_node_ = tree_.num_nodes();
  for (const Branch& branch : branches) {
    const int32_t used = branch.parent == 0 ? prompt_tokens() : branch.parent_used_tokens;
    fronts_.push_back({.node = branch.parent,
                       .used = used,
                       .first_child = tree_.num_nodes(),
                       .copies = branch.copies});
    for (int32_t copy = 0; copy < branch.copies; ++copy) {
      tree_.add_child(branch.parent, branch.parent_used_tokens, fallback);
      entries_.push_back(cache_.add(cache_entry(branch.parent), used));
    }
  }
  active_paths_ = tree_.num_nodes() - first_node_;
  // Each branching point becomes as many fronts as it has paths, while they decode.
  fronts_.reserve(static_cast<size_t>(active_paths_));
  settled_.reserve(static_cast<size_t>(active_paths_));
  ends_.assign(static_cast<size_t>(active_paths_), {});
}

bool LiveTree::is_eos(int32_t token) const {
  return std::ranges::find(settings_.eos_ids, token) != settings_.eos_ids.end();
}

int32_t LiveTree::take(size_t front_index, const DrawnToken* drawn,
                       const RolloutCallbacks& callbacks) {
  Front& front = fronts_[front_index];
  if (asking_) {
    tree_.set_next_entropy(front.node, drawn->entropy);
    --active_paths_;
    unsettled_ = true;
    return 0;
  }
  const bool asks_text = !settings_.stop.stop_strings.empty();
  for (int32_t copy = 0; copy < front.copies; ++copy) {
    const int32_t node = front.first_child + copy;
    tree_.append(node, drawn[copy].token, drawn[copy].logprob, drawn[copy].entropy);
    const TokenFacts facts{
        .eos = is_eos(drawn[copy].token),
        .stop_string = asks_text && callbacks.ends_with_stop_string(query_, tree_, node)};
    if (!ends_segment(rules_, tree_.node(node), facts)) continue;
    path_end(node) = {.ended = true, .last_token = facts};
    --active_paths_;
    unsettled_ = true;
  }
  if (front.first_child == front.node) {
    ++front.used;
  } else {
    unsettled_ = true;
  }
  return front.copies;
}

// Ended paths leave; a branching point whose tokens are drawn becomes one front for each path.
void LiveTree::settle() {
  if (!unsettled_) return;
  unsettled_ = false;
  settled_.clear();
  for (Front& front : fronts_) {
    const bool is_path = front.first_child == front.node;
    const bool drawn = tree_.node(front.first_child).num_tokens > 0;
    const bool told = asking_ && !std::isnan(tree_.node(front.node).next_entropy);
    if (asking_ ? !told : is_path ? !path_end(front.node).ended : !drawn) {
      settled_.push_back(front);
      continue;
    }
    if (front.running) suspend(front);
    for (int32_t copy = 0; !is_path && copy < front.copies; ++copy) {
      const int32_t node = front.first_child + copy;
      if (!path_end(node).ended) {
        settled_.push_back({.node = node, .used = 1, .first_child = node});
      }
    }
  }
  fronts_.swap(settled_);
}

void LiveTree::cross_barrier(const RolloutCallbacks& callbacks, bool wait_now) {
  if (!asking_) {
    if (!scores_) judge_paths(callbacks);
    if (scores_) {
      if (!wait_now && steps_to_scores_ > 0) {
        --steps_to_scores_;
        return;
      }
      take_scores();
    }
    prune_paths(callbacks);
    asking_ = growth_.needs_next_entropies(tree_, going_on_, stopped_now_);
    if (asking_) return ask_next_entropies();
  }
  asking_ = false;
  const auto split = [&](const SearchTree& tree, std::span<const int32_t> active, int32_t budget) {
    return callbacks.split_budget(query_, tree, active, budget);
  };
  grow(growth_.next(tree_, going_on_, stopped_now_, callbacks.split_budget ? split : SplitBudget()),
       going_on_.empty());
  finished_ = fronts_.empty();
}

void LiveTree::judge_paths(const RolloutCallbacks& callbacks) {
  going_on_.clear();
  stopped_now_ = 0;
  const size_t first_leaf = tree_.leaves().size();
  for (int32_t node = first_node_; node < tree_.num_nodes(); ++node) {
    const SegmentFacts facts =
        rules_.need_segment_facts() ? callbacks.judge_segment(query_, tree_, node) : SegmentFacts{};
    const StopReason reason =
        judge_segment(rules_, tree_.node(node), path_end(node).last_token, facts);
    if (reason == StopReason::none) {
      going_on_.push_back(node);
    } else {
      stop_path(node, reason, is_too_short(rules_, tree_.node(node)), callbacks);
    }
  }
  if (needs_leaf_scores(settings_.growth)) ask_scores(first_leaf, callbacks);
}

void LiveTree::stop_path(int32_t node, StopReason reason, bool discarded,
                         const RolloutCallbacks& callbacks) {
  ++stopped_now_;
  tree_.stop(node, reason, discarded);
  discarded_paths_ += discarded ? 1 : 0;
  if (!discarded && callbacks.trajectory_done) callbacks.trajectory_done(query_, tree_, node);
}

void LiveTree::ask_scores(size_t first_leaf, const RolloutCallbacks& callbacks) {
  to_score_.clear();
  for (const int32_t leaf : std::span(tree_.leaves()).subspan(first_leaf)) {
    if (is_finished(tree_.node(leaf).stop)) to_score_.push_back(leaf);
  }
  if (to_score_.empty()) return;
  scores_ = callbacks.score_leaves(query_index_, query_, tree_, to_score_);
  steps_to_scores_ =
      scores_->known() ? 0 : std::max<int64_t>(1, settings_.growth.segment_tokens / kWaitShare);
  // While it waits, its pages and rows are kept free of new trees.
  active_paths_ = static_cast<int32_t>(going_on_.size());
}

void LiveTree::take_scores() {
  const std::vector<double> scores = scores_->wait();
  scores_.reset();
  TREEPO_CHECK(scores.size() == to_score_.size(), "{} scores for {} leaves", scores.size(),
               to_score_.size());
  for (size_t i = 0; i < scores.size(); ++i) tree_.set_score(to_score_[i], scores[i]);
}

void LiveTree::prune_paths(const RolloutCallbacks& callbacks) {
  for (const int32_t node : growth_.prune(tree_, going_on_)) {
    const bool discarded = !settings_.growth.train_pruned || is_too_short(rules_, tree_.node(node));
    stop_path(node, StopReason::pruned, discarded, callbacks);
    ++pruned_paths_;
  }
  std::erase_if(going_on_,
                [this](int32_t node) { return tree_.node(node).stop != StopReason::none; });
}

// One front for each path, in the middle of its segment as it were.
void LiveTree::ask_next_entropies() {
  for (const int32_t node : going_on_) {
    fronts_.push_back({.node = node, .used = tree_.node(node).num_tokens, .first_child = node});
  }
  active_paths_ = static_cast<int32_t>(going_on_.size());
}

void LiveTree::start(Front& front) {
  cache_.use(cache_entry(front.node));
  front.running = true;
  ++running_fronts_;
}

void LiveTree::suspend(Front& front) {
  cache_.unuse(cache_entry(front.node));
  front.running = false;
  --running_fronts_;
}

SearchTree LiveTree::release_tree() {
  tree_.shrink_to_fit();
  return std::move(tree_);
}

}  // namespace treepo
