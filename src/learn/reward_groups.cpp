#include "learn/reward_groups.h"

#include <cmath>

#include "base/error.h"

namespace treepo {

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

double query_scale(const QueryRewards& query, const Subgroups& groups,
                   const AdvantageOptions& options) {
  if (!options.query_std || query.leaves.empty()) return 1.0;
  const Subgroup& all = groups.at(query.leaves[0].path[0]);
  if (all.size == 1) return 1.0 + options.epsilon;
  double sum = 0;
  for (const LeafReward& leaf : query.leaves) {
    const double difference = leaf.reward - all.mean();
    sum += difference * difference;
  }
  return std::sqrt(sum / static_cast<double>(all.size - 1)) + options.epsilon;
}

}  // namespace treepo
