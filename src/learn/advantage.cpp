#include "learn/advantage.h"

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "learn/reward_groups.h"
#include "learn/whiten.h"

namespace treepo {
namespace {

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
    case AdvantageKind::sibling_normalized:
    case AdvantageKind::expected_reward:
      break;  // node_advantages()
  }
  TREEPO_CHECK(false, "advantage kind {}", static_cast<int>(kind));
  return {};
}

bool counts(const Rule& rule, size_t depth, const Subgroup& group) {
  if (depth == 0) return rule.root;
  return rule.below_root && group.size > 1 && !(rule.reject_degenerate && group.degenerate());
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
  const double scale = query_scale(query, groups, options);
  for (double& value : result.values) value /= scale;
  return result;
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
    std::vector<WeightedValue> weighted;
    for (size_t q = 0; q < queries.size(); ++q)
      for (size_t i = 0; i < queries[q].leaves.size(); ++i)
        weighted.push_back(
            {&advantages[q].values[i], static_cast<double>(queries[q].leaves[i].num_tokens)});
    whiten(weighted);
  }
  return advantages;
}

bool all_scores_equal(std::span<const double> scores) {
  return std::adjacent_find(scores.begin(), scores.end(), std::not_equal_to<>()) == scores.end();
}

}  // namespace treepo
