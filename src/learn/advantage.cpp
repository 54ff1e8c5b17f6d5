#include "learn/advantage.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/error.h"

namespace treepo {
namespace {

// Added to a variance before its root, as verl's masked_whiten does.
constexpr double kWhitenEpsilon = 1e-8;

// The leaves below one node.
struct Subgroup {
  int64_t size = 0;
  double sum = 0;
  double lowest = std::numeric_limits<double>::infinity();
  double highest = -std::numeric_limits<double>::infinity();

  void add(double reward) {
    ++size;
    sum += reward;
    lowest = std::min(lowest, reward);
    highest = std::max(highest, reward);
  }
  bool degenerate() const { return lowest == highest; }
  // Exact for equal rewards, so that a group without contrast gives 0 and no rounding noise.
  double mean() const { return degenerate() ? lowest : sum / static_cast<double>(size); }
};

using Subgroups = std::unordered_map<int32_t, Subgroup>;  // by node id

Subgroups subgroups_of(const QueryRewards& query) {
  Subgroups groups;
  for (size_t i = 0; i < query.leaves.size(); ++i) {
    const LeafReward& leaf = query.leaves[i];
    if (!std::isfinite(leaf.reward)) {
      throw Error(fmt::format("query {}: the reward of leaf {} is {}", query.name, i, leaf.reward),
                  "a reward function must return a finite number");
    }
    TREEPO_CHECK(!leaf.path.empty() && leaf.path[0] == query.leaves[0].path[0],
                 "query {}: the path of leaf {} does not start at the root", query.name, i);
    for (const int32_t node : leaf.path) groups[node].add(leaf.reward);
  }
  return groups;
}

struct Rule {
  bool root = true, below_root = true, size_weighted = false, reject_degenerate = false;
};

Rule rule_of(AdvantageKind kind) {
  switch (kind) {
    case AdvantageKind::tree:
      return {};
    case AdvantageKind::tree_size_weighted:
      return {.size_weighted = true};
    case AdvantageKind::tree_reject_degenerate:
      return {.reject_degenerate = true};
    case AdvantageKind::tree_reject_degenerate_size_weighted:
      return {.size_weighted = true, .reject_degenerate = true};
    case AdvantageKind::tree_no_root:
      return {.root = false};
    case AdvantageKind::grpo:
    case AdvantageKind::leave_one_out:
      return {.below_root = false};
    case AdvantageKind::segment:
      break;
  }
  TREEPO_CHECK(false, "advantage kind {}", static_cast<int>(kind));
  return {};
}

bool counts(const Rule& rule, size_t depth, const Subgroup& group) {
  if (depth == 0) return rule.root;
  return rule.below_root && group.size > 1 && !(rule.reject_degenerate && group.degenerate());
}

double standard_deviation(const QueryRewards& query, const Subgroup& all) {
  if (all.size == 1) return 1.0;
  double sum = 0;
  for (const LeafReward& leaf : query.leaves) {
    const double difference = leaf.reward - all.mean();
    sum += difference * difference;
  }
  return std::sqrt(sum / static_cast<double>(all.size - 1));
}

LeafAdvantages advantages_of(const QueryRewards& query, const AdvantageOptions& options) {
  const Subgroups groups = subgroups_of(query);
  const Rule rule = rule_of(options.kind);
  LeafAdvantages result;
  for (const LeafReward& leaf : query.leaves) {
    double sum = 0, weights = 0;
    int32_t levels = 0;
    for (size_t depth = 0; depth < leaf.path.size(); ++depth) {
      const Subgroup& group = groups.at(leaf.path[depth]);
      if (!counts(rule, depth, group)) continue;
      const double baseline = group.size > 1 ? group.mean() : 0.0;
      const double weight = rule.size_weighted ? static_cast<double>(group.size) : 1.0;
      sum += weight * (leaf.reward - baseline);
      weights += weight;
      ++levels;
    }
    result.values.push_back(levels > 0 ? sum / weights : 0.0);
    result.levels.push_back(levels);
  }
  if (const auto n = static_cast<double>(query.leaves.size());
      options.kind == AdvantageKind::leave_one_out && n > 1) {
    for (double& value : result.values) value *= n / (n - 1);  // R - mean of all, to mean of others
  }
  if (options.query_std && !query.leaves.empty()) {
    const double scale =
        standard_deviation(query, groups.at(query.leaves[0].path[0])) + options.epsilon;
    for (double& value : result.values) value /= scale;
  }
  return result;
}

// An advantage and how many tokens of the batch it counts for.
struct Weighted {
  double* value;
  double tokens;
};

void whiten(std::span<const Weighted> advantages) {
  double tokens = 0, sum = 0;
  double lowest = std::numeric_limits<double>::infinity(), highest = -lowest;
  for (const auto& [value, n] : advantages) {
    tokens += n;
    sum += n * *value;
    if (n > 0) {
      lowest = std::min(lowest, *value);
      highest = std::max(highest, *value);
    }
  }
  if (lowest >= highest) {  // no contrast at all: exactly 0 rather than rounding noise times 1e4
    for (const auto& [value, n] : advantages) *value = 0;
    return;
  }
  const double mean = sum / tokens;
  double squares = 0;
  for (const auto& [value, n] : advantages) squares += n * (*value - mean) * (*value - mean);
  const double scale = 1.0 / std::sqrt(squares / (tokens - 1) + kWhitenEpsilon);
  for (const auto& [value, n] : advantages) *value = (*value - mean) * scale;
}

// By node id; 0 where no path passes.
std::vector<double> segment_advantages(const QueryRewards& query, const AdvantageOptions& options) {
  const Subgroups groups = subgroups_of(query);
  std::vector<double> advantages;
  double scale = 1;
  if (options.query_std && !query.leaves.empty())
    scale = standard_deviation(query, groups.at(query.leaves[0].path[0])) + options.epsilon;
  for (const LeafReward& leaf : query.leaves) {
    for (size_t depth = 1; depth < leaf.path.size(); ++depth) {
      const auto node = static_cast<size_t>(leaf.path[depth]);
      if (advantages.size() <= node) advantages.resize(node + 1);
      const double before = groups.at(leaf.path[depth - 1]).mean();
      advantages[node] = (groups.at(leaf.path[depth]).mean() - before) / scale;
    }
  }
  return advantages;
}

// The advantages of all nodes that a path passes, each with its tokens times the leaves through it.
std::vector<Weighted> weighted_nodes(std::span<const QueryRewards> queries,
                                     std::vector<std::vector<double>>& advantages) {
  std::vector<Weighted> weighted;
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

QueryRewards query_rewards(std::string name, const SearchTree& tree,
                           std::span<const int32_t> leaves, std::span<const double> rewards) {
  TREEPO_CHECK(leaves.size() == rewards.size(), "{} leaves, {} rewards", leaves.size(),
               rewards.size());
  QueryRewards query{.name = std::move(name), .leaves = {}};
  for (size_t i = 0; i < leaves.size(); ++i) {
    query.leaves.push_back({.path = tree.path(leaves[i]),
                            .reward = rewards[i],
                            .num_tokens = tree.path_tokens(leaves[i]),
                            .used_tokens = tree.path_used_tokens(leaves[i])});
  }
  return query;
}

std::vector<LeafAdvantages> leaf_advantages(std::span<const QueryRewards> queries,
                                            const AdvantageOptions& options) {
  std::vector<LeafAdvantages> advantages;
  for (const QueryRewards& query : queries) advantages.push_back(advantages_of(query, options));
  if (options.whiten) {
    std::vector<Weighted> weighted;
    for (size_t q = 0; q < queries.size(); ++q)
      for (size_t i = 0; i < queries[q].leaves.size(); ++i)
        weighted.push_back(
            {&advantages[q].values[i], static_cast<double>(queries[q].leaves[i].num_tokens)});
    whiten(weighted);
  }
  return advantages;
}

bool is_per_node(AdvantageKind kind) {
  return kind == AdvantageKind::segment;
}

std::vector<std::vector<double>> node_advantages(std::span<const QueryRewards> queries,
                                                 const AdvantageOptions& options) {
  std::vector<std::vector<double>> advantages;
  for (const QueryRewards& query : queries)
    advantages.push_back(segment_advantages(query, options));
  if (options.whiten) whiten(weighted_nodes(queries, advantages));
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

bool all_scores_equal(std::span<const double> scores) {
  return std::adjacent_find(scores.begin(), scores.end(), std::not_equal_to<>()) == scores.end();
}

}  // namespace treepo
