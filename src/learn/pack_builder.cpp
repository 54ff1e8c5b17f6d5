#include "learn/pack_builder.h"

#include <algorithm>

#include "base/error.h"

namespace treepo {
namespace {

// All leaves through a token share the advantage of its node.
PackSums with_advantage(PackSums sums, double advantage) {
  const int32_t unmasked = sums.leaves - sums.masked_leaves;
  sums.positive = sums.policy_weight * std::max(advantage, 0.0);
  sums.negative = sums.policy_weight * std::min(advantage, 0.0);
  sums.positive_leaves = advantage > 0 ? unmasked : 0;
  sums.negative_leaves = advantage < 0 ? unmasked : 0;
  return sums;
}

}  // namespace

PackSums& PackSums::operator+=(const PackSums& other) {
  positive += other.positive;
  negative += other.negative;
  weight += other.weight;
  policy_weight += other.policy_weight;
  positive_leaves += other.positive_leaves;
  negative_leaves += other.negative_leaves;
  masked_leaves += other.masked_leaves;
  leaves += other.leaves;
  return *this;
}

PackSums sums_of_leaf(double advantage, double weight, bool masked) {
  const double policy_weight = masked ? 0.0 : weight;
  return {.positive = policy_weight * std::max(advantage, 0.0),
          .negative = policy_weight * std::min(advantage, 0.0),
          .weight = weight,
          .policy_weight = policy_weight,
          .positive_leaves = !masked && advantage > 0,
          .negative_leaves = !masked && advantage < 0,
          .masked_leaves = masked,
          .leaves = 1};
}

void PackBuilder::run(int32_t token, PackCursor& cursor) {
  cursor.source = size();
  packed_.sequence.tokens.push_back(token);
  packed_.sequence.positions.push_back(cursor.position++);
  packed_.sequence.subtree_end.push_back(0);
}

void PackBuilder::close(int32_t begin, int32_t end) {
  std::fill(packed_.sequence.subtree_end.begin() + begin,
            packed_.sequence.subtree_end.begin() + end, size());
}

PackCursor PackBuilder::run_prompt(std::span<const int32_t> prompt) {
  if (prompt.empty()) {
    throw Error("a prompt without tokens: nothing predicts the first token of its responses",
                "give every prompt at least one token, for example the BOS token");
  }
  PackCursor cursor;
  for (const int32_t token : prompt) run(token, cursor);
  return cursor;
}

void PackBuilder::add_target(PackTarget target) {
  target.first_trajectory = static_cast<int32_t>(packed_.trajectories.size());
  targets_.push_back(target);
}

void PackBuilder::add_trajectory(const PackedTrajectory& trajectory) {
  packed_.trajectories.push_back(trajectory);
}

PackedTrees PackBuilder::finish(bool with_reference, bool with_node_advantages) {
  std::stable_sort(targets_.begin(), targets_.end(),
                   [](const PackTarget& a, const PackTarget& b) { return a.source < b.source; });
  for (const PackTarget& t : targets_) {
    if (packed_.source_row.empty() || packed_.source_row.back() != t.source) {
      packed_.source_row.push_back(t.source);
    }
    packed_.target_source.push_back(packed_.num_sources() - 1);
    packed_.target_token.push_back(t.token);
    packed_.positive.push_back(t.sums.positive);
    packed_.negative.push_back(t.sums.negative);
    packed_.weight.push_back(t.sums.weight);
    packed_.positive_leaves.push_back(t.sums.positive_leaves);
    packed_.negative_leaves.push_back(t.sums.negative_leaves);
    packed_.num_leaves.push_back(t.sums.leaves);
    packed_.masked_leaves.push_back(t.sums.masked_leaves);
    packed_.sampled_logprob.push_back(t.sampled_logprob);
    packed_.old_logprob.push_back(t.old_logprob);
    if (with_reference) packed_.reference_logprob.push_back(t.reference_logprob);
    if (with_node_advantages) packed_.node_advantage.push_back(t.node_advantage);
    packed_.first_trajectory.push_back(t.first_trajectory);
    packed_.target_tree.push_back(t.tree);
    packed_.target_slot.push_back(t.slot);
  }
  return std::move(packed_);
}

TreeWriter::TreeWriter(const TrainingTree& training, int32_t index, LeafWeight weighting,
                       MaskedLeaves masked_leaves, PackBuilder& builder)
    : training_(training),
      tree_(*training.tree),
      index_(index),
      weighting_(weighting),
      masked_leaves_(masked_leaves),
      builder_(builder) {
  for (const int32_t leaf : training.leaves) trajectory_tokens_ += tree_.path_tokens(leaf);
  const size_t slots =
      static_cast<size_t>(tree_.num_nodes()) * static_cast<size_t>(tree_.segment_tokens());
  for (const auto* values : {&training.old_logprobs, &training.reference_logprobs}) {
    TREEPO_CHECK(values->empty() || values->size() == slots, "{} log-probs for {} slots",
                 values->size(), slots);
  }
  TREEPO_CHECK(training.leaves.size() == training.advantages.size(), "{} leaves, {} advantages",
               training.leaves.size(), training.advantages.size());
  TREEPO_CHECK(training.node_advantages.empty() ||
                   training.node_advantages.size() == static_cast<size_t>(tree_.num_nodes()),
               "{} advantages for {} nodes", training.node_advantages.size(), tree_.num_nodes());
  TREEPO_CHECK(training.masked.empty() || training.masked.size() == training.leaves.size(),
               "{} masks for {} leaves", training.masked.size(), training.leaves.size());
  for (const int32_t leaf : training.leaves) {
    TREEPO_CHECK(leaf > 0 && leaf < tree_.num_nodes() && tree_.node(leaf).num_tokens > 0,
                 "leaf {} is no trajectory of tree {}", leaf, index);
  }
}

void TreeWriter::write(const PackPiece& piece, bool last_is_run, PackCursor& cursor) {
  const auto tokens = tree_.tokens(piece.node);
  const auto sampled = tree_.logprobs(piece.node);
  const std::vector<double>& by_node = training_.node_advantages;
  const PackSums sums = by_node.empty()
                            ? piece.sums
                            : with_advantage(piece.sums, by_node[static_cast<size_t>(piece.node)]);
  for (int32_t offset = piece.begin; offset < piece.end; ++offset) {
    const auto i = static_cast<size_t>(offset);
    const int64_t slot = int64_t{piece.node} * tree_.segment_tokens() + offset;
    PackTarget target{.source = cursor.source,
                      .token = tokens[i],
                      .sums = sums,
                      .sampled_logprob = sampled[i],
                      .old_logprob = sampled[i],
                      .tree = index_,
                      .slot = slot};
    const auto s = static_cast<size_t>(slot);
    if (!training_.old_logprobs.empty()) target.old_logprob = training_.old_logprobs[s];
    if (!training_.reference_logprobs.empty()) {
      target.reference_logprob = training_.reference_logprobs[s];
    }
    if (!by_node.empty()) target.node_advantage = by_node[static_cast<size_t>(piece.node)];
    builder_.add_target(target);
    if (last_is_run || offset + 1 < piece.end) builder_.run(tokens[i], cursor);
  }
}

PackSums TreeWriter::leaf_sums(size_t i) const {
  return sums_of_leaf(training_.advantages[i], weight(i), masked(i));
}

void TreeWriter::add_trajectory(size_t i) {
  builder_.add_trajectory({.advantage = training_.advantages[i],
                           .weight = masked(i) ? 0.0 : weight(i),
                           .num_tokens = tree_.path_tokens(training_.leaves[i])});
}

double TreeWriter::weight(size_t i) const {
  switch (weighting_) {
    case LeafWeight::one:
      return 1.0;
    case LeafWeight::inverse_length:
      return 1.0 / static_cast<double>(tree_.path_tokens(training_.leaves[i]));
    case LeafWeight::inverse_tree_tokens:
      return 1.0 / static_cast<double>(trajectory_tokens_);
  }
  TREEPO_CHECK(false, "leaf weight {}", static_cast<int>(weighting_));
  return 0.0;
}

}  // namespace treepo
