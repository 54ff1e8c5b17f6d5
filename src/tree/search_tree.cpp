#include "tree/search_tree.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "base/error.h"

namespace treepo {

namespace {

constexpr std::array<std::string_view, 8> kStopReasonNames = {
    "none", "answer", "eos", "stop_string", "length", "depth", "repetition", "pruned"};

}  // namespace

std::string_view stop_reason_name(StopReason reason) {
  return kStopReasonNames.at(static_cast<size_t>(reason));
}

StopReason stop_reason_from_name(std::string_view name) {
  const auto found = std::ranges::find(kStopReasonNames, name);
  if (found == kStopReasonNames.end()) {
    throw Error(fmt::format("unknown stop reason \"{}\"", name),
                fmt::format("known are: {}", fmt::join(kStopReasonNames, ", ")));
  }
  return static_cast<StopReason>(found - kStopReasonNames.begin());
}

bool is_finished(StopReason reason) {
  return reason == StopReason::answer || reason == StopReason::eos ||
         reason == StopReason::stop_string;
}

SearchTree::SearchTree(std::vector<int32_t> prompt, int32_t segment_tokens)
    : prompt_(std::move(prompt)), segment_tokens_(segment_tokens), nodes_(1) {
  TREEPO_CHECK(segment_tokens >= 1, "segments of {} tokens", segment_tokens);
  resize_slots();
}

// The root's slots stay empty: one rule for all nodes is worth segment_tokens unused entries.
void SearchTree::resize_slots() {
  const size_t slots = nodes_.size() * static_cast<size_t>(segment_tokens_);
  tokens_.resize(slots);
  logprobs_.resize(slots);
  entropies_.resize(slots);
}

int32_t SearchTree::add_child(int32_t parent, int32_t parent_used_tokens, bool fallback) {
  TREEPO_CHECK(parent >= 0 && parent < num_nodes(), "parent {} of {} nodes", parent, num_nodes());
  const TreeNode& above = node(parent);
  const int32_t used = parent_used_tokens < 0 ? above.num_tokens : parent_used_tokens;
  TREEPO_CHECK(used <= above.num_tokens && (used >= 1 || parent == 0),
               "a child keeps {} of the {} tokens of node {}", used, above.num_tokens, parent);
  nodes_.push_back({.parent = parent,
                    .depth = above.depth + 1,
                    .parent_used_tokens = used,
                    .prefix_tokens = above.prefix_tokens + used,
                    .fallback = fallback});
  resize_slots();
  return num_nodes() - 1;
}

void SearchTree::append(int32_t id, int32_t token, double logprob, double entropy) {
  TreeNode& node = nodes_[static_cast<size_t>(id)];
  TREEPO_CHECK(id > 0 && node.num_tokens < segment_tokens_, "node {} takes no more tokens", id);
  const size_t slot = first_slot(id) + static_cast<size_t>(node.num_tokens++);
  tokens_[slot] = token;
  logprobs_[slot] = logprob;
  entropies_[slot] = entropy;
}

void SearchTree::stop(int32_t id, StopReason reason, bool discarded) {
  TREEPO_CHECK(id > 0 && id < num_nodes(), "node {} of {}", id, num_nodes());
  TreeNode& node = nodes_[static_cast<size_t>(id)];
  TREEPO_CHECK(node.stop == StopReason::none && reason != StopReason::none && node.num_tokens > 0,
               "node {} of {} tokens stops twice or for no reason", id, node.num_tokens);
  node.stop = reason;
  node.discarded = discarded;
  if (!discarded) leaves_.push_back(id);
}

void SearchTree::set_score(int32_t leaf, double score) {
  TreeNode& node = nodes_.at(static_cast<size_t>(leaf));
  TREEPO_CHECK(node.stop != StopReason::none && !node.discarded && std::isfinite(score),
               "node {} gets score {}", leaf, score);
  node.score = score;
}

void SearchTree::set_next_entropy(int32_t id, double entropy) {
  TreeNode& node = nodes_.at(static_cast<size_t>(id));
  TREEPO_CHECK(node.num_tokens > 0 && std::isfinite(entropy), "node {} gets entropy {}", id,
               entropy);
  node.next_entropy = entropy;
}

void SearchTree::shrink_to_fit() {
  nodes_.shrink_to_fit();
  tokens_.shrink_to_fit();
  logprobs_.shrink_to_fit();
  entropies_.shrink_to_fit();
  leaves_.shrink_to_fit();
}

std::span<const int32_t> SearchTree::tokens(int32_t id) const {
  return {tokens_.data() + first_slot(id), static_cast<size_t>(node(id).num_tokens)};
}

std::span<const double> SearchTree::logprobs(int32_t id) const {
  return {logprobs_.data() + first_slot(id), static_cast<size_t>(node(id).num_tokens)};
}

std::span<const double> SearchTree::entropies(int32_t id) const {
  return {entropies_.data() + first_slot(id), static_cast<size_t>(node(id).num_tokens)};
}

int32_t SearchTree::path_tokens(int32_t id) const {
  return node(id).prefix_tokens + node(id).num_tokens;
}

std::vector<int32_t> SearchTree::path(int32_t id) const {
  std::vector<int32_t> nodes(static_cast<size_t>(node(id).depth) + 1);
  for (size_t i = nodes.size(); i-- > 0; id = node(id).parent) nodes[i] = id;
  return nodes;
}

std::vector<int32_t> SearchTree::path_used_tokens(int32_t id) const {
  std::vector<int32_t> used(static_cast<size_t>(node(id).depth) + 1);
  used.back() = node(id).num_tokens;
  for (size_t i = used.size() - 1; i-- > 0; id = node(id).parent) {
    used[i] = node(id).parent_used_tokens;
  }
  return used;
}

namespace {

// Joins what `values_of(node)` gives along the path, each node cut to what lies on the path.
template <typename T, typename ValuesOf>
std::vector<T> join_path(const SearchTree& tree, int32_t id, const ValuesOf& values_of) {
  std::vector<T> joined(static_cast<size_t>(tree.path_tokens(id)));
  int32_t used = tree.node(id).num_tokens;
  for (; id != 0; used = tree.node(id).parent_used_tokens, id = tree.node(id).parent) {
    const std::span<const T> values = values_of(id).first(static_cast<size_t>(used));
    std::ranges::copy(values, joined.begin() + tree.node(id).prefix_tokens);
  }
  return joined;
}

}  // namespace

std::vector<int32_t> SearchTree::response(int32_t id) const {
  return join_path<int32_t>(*this, id, [this](int32_t n) { return tokens(n); });
}

std::vector<double> SearchTree::response_logprobs(int32_t id) const {
  return join_path<double>(*this, id, [this](int32_t n) { return logprobs(n); });
}

std::vector<double> SearchTree::response_entropies(int32_t id) const {
  return join_path<double>(*this, id, [this](int32_t n) { return entropies(n); });
}

int64_t SearchTree::unique_tokens() const {
  int64_t sum = 0;
  for (const TreeNode& node : nodes_) sum += node.num_tokens;
  return sum;
}

int64_t SearchTree::trajectory_tokens() const {
  int64_t sum = 0;
  for (const int32_t leaf : leaves_) sum += path_tokens(leaf);
  return sum;
}

void SearchTree::check_invariants() const {
  const TreeNode& root = node(0);
  TREEPO_CHECK(root.parent == -1 && root.depth == 0 && root.num_tokens == 0 &&
                   root.prefix_tokens == 0 && root.stop == StopReason::none,
               "node 0 is not a root");
  const size_t slots = nodes_.size() * static_cast<size_t>(segment_tokens_);
  TREEPO_CHECK(tokens_.size() == slots && logprobs_.size() == slots && entropies_.size() == slots,
               "{} slots for {} nodes", tokens_.size(), nodes_.size());
  size_t num_trajectories = 0;
  for (int32_t id = 1; id < num_nodes(); ++id) {
    const TreeNode& n = node(id);
    TREEPO_CHECK(n.parent >= 0 && n.parent < id, "node {} below node {}", id, n.parent);
    const TreeNode& above = node(n.parent);
    TREEPO_CHECK(n.depth == above.depth + 1, "node {} has depth {}", id, n.depth);
    TREEPO_CHECK(
        n.parent_used_tokens <= above.num_tokens && (n.parent == 0 || n.parent_used_tokens >= 1),
        "node {} keeps {} tokens of its parent's {}", id, n.parent_used_tokens, above.num_tokens);
    TREEPO_CHECK(n.prefix_tokens == above.prefix_tokens + n.parent_used_tokens,
                 "node {} starts after {} tokens", id, n.prefix_tokens);
    TREEPO_CHECK(n.num_tokens >= 0 && n.num_tokens <= segment_tokens_, "node {} has {} tokens", id,
                 n.num_tokens);
    TREEPO_CHECK(!n.discarded || n.stop != StopReason::none, "node {} is discarded but goes on",
                 id);
    if (n.stop != StopReason::none && !n.discarded) ++num_trajectories;
  }
  TREEPO_CHECK(leaves_.size() == num_trajectories, "{} leaves but {} stopped nodes", leaves_.size(),
               num_trajectories);
  std::vector<bool> seen(nodes_.size());
  for (const int32_t leaf : leaves_) {
    TREEPO_CHECK(node(leaf).stop != StopReason::none && !node(leaf).discarded &&
                     !seen[static_cast<size_t>(leaf)],
                 "leaf {} goes on, is discarded or listed twice", leaf);
    seen[static_cast<size_t>(leaf)] = true;
  }
}

}  // namespace treepo
