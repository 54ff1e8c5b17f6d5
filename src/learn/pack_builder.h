#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "learn/pack.h"

// What pack.cpp lays trees out with.
namespace treepo {

// Sums over trajectories.
struct PackSums {
  double positive = 0, negative = 0, weight = 0, policy_weight = 0;  // masked ones have none
  int32_t positive_leaves = 0, negative_leaves = 0, masked_leaves = 0, leaves = 0;

  PackSums& operator+=(const PackSums& other);
};

PackSums sums_of_leaf(double advantage, double weight, bool masked);

// Where a path stands while its tokens are laid out.
struct PackCursor {
  int32_t source = -1;   // packed index of the last token on the path
  int32_t position = 0;  // tokens on the path
};

struct PackTarget {
  int64_t source = 0;  // packed index
  int32_t token = 0;
  PackSums sums;
  double sampled_logprob = 0, old_logprob = 0, reference_logprob = 0, node_advantage = 0;
  int32_t tree = 0;
  int64_t slot = 0;
  int32_t first_trajectory = 0;  // set by the builder
};

class PackBuilder {
 public:
  // Appends a token to the sequence and moves the cursor onto it. Its subtree is open until
  // `close`.
  void run(int32_t token, PackCursor& cursor);
  void close(int32_t begin, int32_t end);
  PackCursor run_prompt(std::span<const int32_t> prompt);

  // The trajectories through a target are the next ones that are added.
  void add_target(PackTarget target);
  void add_trajectory(const PackedTrajectory& trajectory);
  int32_t size() const { return packed_.sequence.size(); }

  PackedTrees finish(bool with_reference, bool with_node_advantages);

 private:
  PackedTrees packed_;
  std::vector<PackTarget> targets_;
};

// Tokens [begin, end) of a node as targets that carry `sums`.
struct PackPiece {
  int32_t node = 0, begin = 0, end = 0;
  PackSums sums;
};

// Lays out tokens of one tree: each becomes a target, and a source if something follows it.
class TreeWriter {
 public:
  TreeWriter(const TrainingTree& training, int32_t index, LeafWeight weighting,
             MaskedLeaves masked_leaves, PackBuilder& builder);

  void write(const PackPiece& piece, bool last_is_run, PackCursor& cursor);

  const TrainingTree& training() const { return training_; }
  const SearchTree& tree() const { return tree_; }
  PackBuilder& builder() { return builder_; }

  bool is_packed(size_t i) const { return masked_leaves_ == MaskedLeaves::packed || !masked(i); }
  PackSums leaf_sums(size_t i) const;
  // Of the i-th leaf, after the last target that it passes through.
  void add_trajectory(size_t i);

 private:
  bool masked(size_t i) const { return !training_.masked.empty() && training_.masked[i]; }
  double weight(size_t i) const;

  const TrainingTree& training_;
  const SearchTree& tree_;
  int32_t index_;
  LeafWeight weighting_;
  MaskedLeaves masked_leaves_;
  int64_t trajectory_tokens_ = 0;
  PackBuilder& builder_;
};

}  // namespace treepo
