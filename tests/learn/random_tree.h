#pragma once

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

#include "learn/pack.h"
#include "tree/search_tree.h"

namespace treepo {

// Trees as no sampler would grow them: segments of any length, children that leave their parent
// anywhere inside its segment, trajectories that end at inner nodes, equal siblings, branches
// without any trajectory.
class RandomTrees {
 public:
  RandomTrees(uint64_t seed, int32_t vocab_size) : random_(seed), vocab_size_(vocab_size) {}

  enum class Shape { any, chain, comb, star };

  const SearchTree& tree(int32_t max_nodes, int32_t max_segment, Shape shape = Shape::any) {
    SearchTree& tree = trees_.emplace_back(tokens(integer(1, 6)), max_segment);
    const int32_t num_nodes = integer(1, max_nodes);
    for (int32_t i = 0; i < num_nodes; ++i) {
      const int32_t parent = parent_in(shape, tree);
      const bool inside = parent > 0 && integer(0, 2) == 0;
      const int32_t node =
          tree.add_child(parent, inside ? integer(1, tree.node(parent).num_tokens) : -1);
      for (const int32_t token : tokens(integer(1, max_segment)))
        tree.append(node, token, -uniform(0.1, 3.0), uniform(0.0, 2.0));
    }
    for (int32_t node = 1; node < tree.num_nodes(); ++node) {
      if (integer(0, 2) > 0) tree.stop(node, StopReason::length, integer(0, 5) == 0);
    }
    return tree;
  }

  // Some of the tree's trajectories, with advantages of either sign and some zeros.
  TrainingTree training(const SearchTree& tree, bool with_old = false,
                        bool with_reference = false) {
    TrainingTree training{.tree = &tree};
    for (const int32_t leaf : tree.leaves()) {
      if (integer(0, 4) == 0) continue;
      training.leaves.push_back(leaf);
      training.advantages.push_back(integer(0, 5) == 0 ? 0.0 : uniform(-2.0, 2.0));
    }
    std::shuffle(training.leaves.begin(), training.leaves.end(), random_);
    if (with_old) training.old_logprobs = near_sampled(tree, 0.2);
    if (with_reference) training.reference_logprobs = near_sampled(tree, 0.5);
    return training;
  }

  std::vector<TrainingTree> batch(int32_t max_trees, bool with_old = false,
                                  bool with_reference = false) {
    std::vector<TrainingTree> batch;
    for (int32_t i = integer(1, max_trees); i > 0; --i)
      batch.push_back(
          training(tree(12, 4, static_cast<Shape>(integer(0, 3))), with_old, with_reference));
    return batch;
  }

  void draw_node_advantages(std::vector<TrainingTree>& batch) {
    for (TrainingTree& training : batch) {
      for (int32_t node = 0; node < training.tree->num_nodes(); ++node)
        training.node_advantages.push_back(integer(0, 4) == 0 ? 0 : uniform(-1, 1));
    }
  }

  int32_t integer(int32_t low, int32_t high) {
    return std::uniform_int_distribution<int32_t>(low, high)(random_);
  }
  double uniform(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random_);
  }

 private:
  // Of the next node. comb: a path whose nodes each have one more child.
  int32_t parent_in(Shape shape, const SearchTree& tree) {
    const int32_t last = tree.num_nodes() - 1;
    if (shape == Shape::star) return 0;
    if (shape == Shape::chain) return last;
    if (shape == Shape::comb) return last - last % 2;
    return integer(0, last);
  }

  std::vector<int32_t> tokens(int32_t count) {
    std::vector<int32_t> result;
    for (int32_t i = 0; i < count; ++i) result.push_back(integer(0, vocab_size_ - 1));
    return result;
  }

  std::vector<double> near_sampled(const SearchTree& tree, double spread) {
    std::vector<double> values(static_cast<size_t>(tree.num_nodes() * tree.segment_tokens()));
    for (int32_t node = 1; node < tree.num_nodes(); ++node) {
      size_t slot = static_cast<size_t>(node * tree.segment_tokens());
      for (const double logprob : tree.logprobs(node))
        values[slot++] = logprob + uniform(-spread, spread);
    }
    return values;
  }

  std::mt19937_64 random_;
  int32_t vocab_size_;
  std::deque<SearchTree> trees_;
};

}  // namespace treepo
