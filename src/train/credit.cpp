#include "train/credit.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "learn/advantage.h"
#include "learn/kl_reward.h"
#include "learn/node_advantage.h"

namespace treepo {

namespace {

std::vector<double> penalized_rewards(const ScoredTree& scored) {
  std::vector<double> rewards = scored.rewards;
  for (size_t i = 0; i < scored.kl_penalties.size(); ++i) rewards[i] -= scored.kl_penalties[i];
  return rewards;
}

}  // namespace

TrainingTree uncredited_tree(const SearchTree& tree) {
  return {.tree = &tree,
          .leaves = tree.leaves(),
          .advantages = std::vector<double>(tree.leaves().size())};
}

void take_advantages(const ScoredTree& scored, bool mask_truncated, TrainingTree& training) {
  training.leaves.clear();
  training.advantages.clear();
  training.node_advantages = scored.node_advantages;
  const std::vector<int32_t>& leaves = scored.tree.leaves();
  for (size_t i = 0; i < leaves.size(); ++i) {
    const StopReason stop = scored.tree.node(leaves[i]).stop;
    if (mask_truncated && (stop == StopReason::length || stop == StopReason::depth)) {
      ++training.left_out;
      continue;
    }
    training.leaves.push_back(leaves[i]);
    training.advantages.push_back(scored.advantages[i]);
  }
}

std::string assign_kl_penalties(std::vector<ScoredTree>& trees,
                                std::span<const TrainingTree> training,
                                const ObjectiveOptions& objective) {
  std::vector<std::vector<double>> penalties;
  for (size_t i = 0; i < trees.size(); ++i) {
    penalties.push_back(kl_penalties(training[i], objective));
    for (size_t leaf = 0; leaf < penalties[i].size(); ++leaf) {
      if (!std::isfinite(penalties[i][leaf]))
        return fmt::format("{} from leaf {} of query {}", penalties[i][leaf], leaf,
                           trees[i].query.problem.id);
    }
  }
  for (size_t i = 0; i < trees.size(); ++i) trees[i].kl_penalties = std::move(penalties[i]);
  return "";
}

void assign_advantages(std::vector<ScoredTree>& trees, const AdvantageOptions& options) {
  std::vector<QueryRewards> queries;
  for (const ScoredTree& scored : trees) {
    queries.push_back(query_rewards(scored.query.problem.id, scored.tree, scored.tree.leaves(),
                                    penalized_rewards(scored)));
  }
  if (!is_per_node(options.kind)) {
    std::vector<LeafAdvantages> advantages = leaf_advantages(queries, options);
    for (size_t i = 0; i < trees.size(); ++i) trees[i].advantages = std::move(advantages[i].values);
    return;
  }
  std::vector<std::vector<double>> advantages = node_advantages(queries, options);
  for (size_t i = 0; i < trees.size(); ++i) {
    trees[i].advantages = path_means(queries[i], advantages[i]);
    advantages[i].resize(static_cast<size_t>(trees[i].tree.num_nodes()));
    trees[i].node_advantages = std::move(advantages[i]);
  }
}

}  // namespace treepo
