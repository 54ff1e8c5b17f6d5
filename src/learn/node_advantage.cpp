#include "learn/node_advantage.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "learn/reward_groups.h"
#include "learn/whiten.h"

namespace treepo {
namespace {

// The nodes that leaves pass, by id.
class ValueTree {
 public:
  explicit ValueTree(const QueryRewards& query) {
    for (const LeafReward& leaf : query.leaves) {
      for (size_t depth = 0; depth < leaf.path.size(); ++depth) {
        const int32_t node = leaf.path[depth];
        if (depth > 0 && !at(node).seen) at(leaf.path[depth - 1]).children.push_back(node);
        at(node).seen = true;
      }
      at(leaf.path.back()).ended.push_back(leaf.reward);
    }
  }

  size_t size() const { return nodes_.size(); }
  const std::vector<int32_t>& children(size_t node) const { return nodes_[node].children; }

  // Values of the node's children, and rewards of the leaves that end there.
  std::vector<double> outcomes(size_t node, std::span<const double> values) const {
    std::vector<double> outcomes = nodes_[node].ended;
    for (const int32_t child : nodes_[node].children)
      outcomes.push_back(values[static_cast<size_t>(child)]);
    return outcomes;
  }

 private:
  struct Node {
    bool seen = false;
    std::vector<int32_t> children;
    std::vector<double> ended;
  };

  Node& at(int32_t node) {
    const auto n = static_cast<size_t>(node);
    if (nodes_.size() <= n) nodes_.resize(n + 1);
    return nodes_[n];
  }

  std::vector<Node> nodes_;
};

Subgroup group_of(std::span<const double> values) {
  Subgroup group;
  for (const double value : values) group.add(value);
  return group;
}

// values[node] and those below it, from the bottom up.
void fill_expected(const ValueTree& tree, size_t node, std::vector<double>& values) {
  for (const int32_t child : tree.children(node))
    fill_expected(tree, static_cast<size_t>(child), values);
  values[node] = group_of(tree.outcomes(node, values)).mean();
}

std::vector<double> node_values(const QueryRewards& query, const ValueTree& tree,
                                const Subgroups& groups, AdvantageKind kind) {
  std::vector<double> values(tree.size());
  if (query.leaves.empty()) return values;
  if (kind == AdvantageKind::segment) {
    for (const auto& [node, group] : groups) values[static_cast<size_t>(node)] = group.mean();
  } else {
    fill_expected(tree, static_cast<size_t>(query.leaves[0].path[0]), values);
  }
  return values;
}

double sample_std(std::span<const double> values) {
  const Subgroup group = group_of(values);
  if (group.degenerate()) return 0;
  double squares = 0;
  for (const double value : values) squares += (value - group.mean()) * (value - group.mean());
  return std::sqrt(squares / static_cast<double>(group.size - 1));
}

std::vector<double> advantages_of(const QueryRewards& query, const AdvantageOptions& options) {
  const Subgroups groups = subgroups_of(query);
  const ValueTree tree(query);
  const std::vector<double> values = node_values(query, tree, groups, options.kind);
  double scale = query_scale(query, groups, options);
  std::vector<double> advantages(tree.size());
  for (size_t parent = 0; parent < tree.size(); ++parent) {
    if (options.kind == AdvantageKind::sibling_normalized)
      scale = sample_std(tree.outcomes(parent, values)) + options.epsilon;
    for (const int32_t child : tree.children(parent)) {
      const auto node = static_cast<size_t>(child);
      advantages[node] = (values[node] - values[parent]) / scale;
    }
  }
  return advantages;
}

// The advantages of all nodes that a path passes, each with its tokens times the leaves through it.
std::vector<WeightedValue> weighted_nodes(std::span<const QueryRewards> queries,
                                          std::vector<std::vector<double>>& advantages) {
  std::vector<WeightedValue> weighted;
  for (size_t q = 0; q < queries.size(); ++q) {
    std::vector<double> tokens(advantages[q].size());
    for (const LeafReward& leaf : queries[q].leaves) {
      TREEPO_CHECK(leaf.used_tokens.size() == leaf.path.size(), "query {}: no tokens by node",
                   queries[q].name);
      for (size_t depth = 1; depth < leaf.path.size(); ++depth)
        tokens[static_cast<size_t>(leaf.path[depth])] += leaf.used_tokens[depth];
    }
    for (size_t node = 0; node < tokens.size(); ++node)
      if (tokens[node] > 0) weighted.push_back({&advantages[q][node], tokens[node]});
  }
  return weighted;
}

}  // namespace

bool is_per_node(AdvantageKind kind) {
  return kind == AdvantageKind::segment || kind == AdvantageKind::sibling_normalized ||
         kind == AdvantageKind::expected_reward;
}

std::vector<std::vector<double>> node_advantages(std::span<const QueryRewards> queries,
                                                 const AdvantageOptions& options) {
  TREEPO_CHECK(is_per_node(options.kind), "advantage kind {}", static_cast<int>(options.kind));
  std::vector<std::vector<double>> advantages;
  for (const QueryRewards& query : queries) advantages.push_back(advantages_of(query, options));
  if (options.whiten) divide_by_root_mean_square(weighted_nodes(queries, advantages));
  return advantages;
}

std::vector<double> path_means(const QueryRewards& query, std::span<const double> node_advantages) {
  std::vector<double> means;
  for (const LeafReward& leaf : query.leaves) {
    double sum = 0;
    for (size_t depth = 1; depth < leaf.path.size(); ++depth)
      sum += leaf.used_tokens[depth] * node_advantages[static_cast<size_t>(leaf.path[depth])];
    means.push_back(leaf.num_tokens > 0 ? sum / static_cast<double>(leaf.num_tokens) : 0.0);
  }
  return means;
}

}  // namespace treepo
