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
      return {.below_root = false};
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
  if (options.query_std && !query.leaves.empty()) {
    const double scale =
        standard_deviation(query, groups.at(query.leaves[0].path[0])) + options.epsilon;
    for (double& value : result.values) value /= scale;
  }
  return result;
}

// Calls f(advantage, tokens) for each leaf of the batch.
template <typename F>
void for_each_leaf(std::span<const QueryRewards> queries, std::vector<LeafAdvantages>& advantages,
                   F f) {
  for (size_t q = 0; q < queries.size(); ++q) {
    for (size_t i = 0; i < queries[q].leaves.size(); ++i) {
      f(advantages[q].values[i], static_cast<double>(queries[q].leaves[i].num_tokens));
    }
  }
}

void whiten(std::span<const QueryRewards> queries, std::vector<LeafAdvantages>& advantages) {
  double tokens = 0, sum = 0;
  double lowest = std::numeric_limits<double>::infinity(), highest = -lowest;
  for_each_leaf(queries, advantages, [&](double value, double n) {
    tokens += n;
    sum += n * value;
    if (n > 0) {
      lowest = std::min(lowest, value);
      highest = std::max(highest, value);
    }
  });
  if (lowest >= highest) {  // no contrast at all: exactly 0 rather than rounding noise times 1e4
    for_each_leaf(queries, advantages, [](double& value, double) { value = 0; });
    return;
  }
  const double mean = sum / tokens;
  double squares = 0;
  for_each_leaf(queries, advantages,
                [&](double value, double n) { squares += n * (value - mean) * (value - mean); });
  const double scale = 1.0 / std::sqrt(squares / (tokens - 1) + kWhitenEpsilon);
  for_each_leaf(queries, advantages,
                [&](double& value, double) { value = (value - mean) * scale; });
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
                            .num_tokens = tree.path_tokens(leaves[i])});
  }
  return query;
}

std::vector<LeafAdvantages> leaf_advantages(std::span<const QueryRewards> queries,
                                            const AdvantageOptions& options) {
  std::vector<LeafAdvantages> advantages;
  for (const QueryRewards& query : queries) advantages.push_back(advantages_of(query, options));
  if (options.whiten) whiten(queries, advantages);
  return advantages;
}

bool all_scores_equal(std::span<const double> scores) {
  return std::adjacent_find(scores.begin(), scores.end(), std::not_equal_to<>()) == scores.end();
}

}  // namespace treepo
