#include "tree/path_facts.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace treepo {

namespace {

using TokenNumbers = std::span<const double> (SearchTree::*)(int32_t) const;

double sum_of_last(const SearchTree& tree, int32_t node, int32_t last_tokens,
                   TokenNumbers numbers) {
  double sum = 0;
  int32_t used = tree.node(node).num_tokens;
  for (int32_t left = last_tokens; node != 0 && left > 0;) {
    const int32_t taken = std::min(used, left);
    const auto on_path = (tree.*numbers)(node).first(static_cast<size_t>(used));
    const auto last = on_path.last(static_cast<size_t>(taken));
    sum = std::accumulate(last.begin(), last.end(), sum);
    left -= taken;
    used = tree.node(node).parent_used_tokens;
    node = tree.node(node).parent;
  }
  return sum;
}

double mean_of_last(const SearchTree& tree, int32_t node, int32_t last_tokens,
                    TokenNumbers numbers) {
  const int32_t count = std::min(tree.path_tokens(node), last_tokens);
  TREEPO_CHECK(count >= 1, "a mean over {} tokens of node {}", count, node);
  return sum_of_last(tree, node, last_tokens, numbers) / count;
}

}  // namespace

double sum_logprob(const SearchTree& tree, int32_t node, int32_t last_tokens) {
  return sum_of_last(tree, node, last_tokens, &SearchTree::logprobs);
}

double mean_logprob(const SearchTree& tree, int32_t node, int32_t last_tokens) {
  return mean_of_last(tree, node, last_tokens, &SearchTree::logprobs);
}

double mean_entropy(const SearchTree& tree, int32_t node, int32_t last_tokens) {
  return mean_of_last(tree, node, last_tokens, &SearchTree::entropies);
}

std::vector<double> early_values(const SearchTree& tree, std::span<const int32_t> paths) {
  const auto num_nodes = static_cast<size_t>(tree.num_nodes());
  std::vector<double> sum(num_nodes);
  std::vector<int32_t> count(num_nodes);
  for (const int32_t leaf : tree.leaves()) {
    if (!is_finished(tree.node(leaf).stop) || std::isnan(tree.node(leaf).score)) continue;
    for (int32_t node = leaf; node >= 0; node = tree.node(node).parent) {
      sum[static_cast<size_t>(node)] += tree.node(leaf).score;
      ++count[static_cast<size_t>(node)];
    }
  }
  std::vector<double> values;
  for (int32_t node : paths) {
    while (node >= 0 && count[static_cast<size_t>(node)] == 0) node = tree.node(node).parent;
    const auto n = static_cast<size_t>(node);
    values.push_back(node < 0 ? kPriorValue : sum[n] / count[n]);
  }
  return values;
}

}  // namespace treepo
