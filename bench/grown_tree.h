#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "learn/pack.h"
#include "tree/search_tree.h"

namespace treepo {

// A tree of drawn tokens to train on.
struct GrownShape {
  const char* name;
  int32_t num_trees, width, prompt_tokens, segment_tokens;
  int32_t min_response, max_response;  // each trajectory's length is drawn from this range
};

// Doubles its paths at each segment's end until there are `width`.
inline SearchTree grow_tree(const GrownShape& shape, int32_t vocab_size, uint64_t query) {
  const RandomStream random(1, Purpose::generate, query);
  const auto token = [&](uint32_t node, uint32_t at) {
    return static_cast<int32_t>(random.integer(0, vocab_size - 1, node, at));
  };
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < shape.prompt_tokens; ++i)
    prompt.push_back(token(0, static_cast<uint32_t>(i)));
  SearchTree tree(prompt, shape.segment_tokens);
  std::vector<int32_t> ends = {0, 0};
  while (!ends.empty()) {
    std::vector<int32_t> next;
    for (const int32_t end : ends) {
      const int32_t node = tree.add_child(end);
      const auto length = static_cast<int32_t>(random.integer(
          shape.min_response, shape.max_response, static_cast<uint32_t>(node), 0, 1));
      while (tree.node(node).num_tokens < shape.segment_tokens &&
             (tree.path_tokens(node) < length || tree.node(node).num_tokens == 0))
        tree.append(
            node,
            token(static_cast<uint32_t>(node), static_cast<uint32_t>(tree.node(node).num_tokens)),
            0, 0);
      if (tree.path_tokens(node) >= length) {
        tree.stop(node, StopReason::eos);
      } else {
        next.push_back(node);
      }
    }
    ends.clear();
    const size_t copies =
        2 * next.size() + tree.leaves().size() <= static_cast<size_t>(shape.width) ? 2 : 1;
    for (const int32_t node : next) ends.insert(ends.end(), copies, node);
  }
  return tree;
}

// All leaves take part; a third of them are better than the rest. The trees must outlive it.
inline std::vector<TrainingTree> training_trees(std::span<const SearchTree> trees) {
  std::vector<TrainingTree> training;
  for (const SearchTree& tree : trees) {
    training.push_back({.tree = &tree, .leaves = tree.leaves()});
    for (size_t i = 0; i < tree.leaves().size(); ++i)
      training.back().advantages.push_back(i % 3 == 0 ? 1.3 : -0.7);
  }
  return training;
}

}  // namespace treepo
