#include "learn/kl_reward.h"

#include <gtest/gtest.h>

#include <cmath>

#include "config/enum_names.h"
#include "learn/advantage.h"
#include "learn/objective.h"
#include "learn/random_tree.h"

namespace treepo {
namespace {

double estimate(KlEstimator estimator, double old, double reference) {
  const double d = reference - old;
  if (estimator == KlEstimator::k1) return old - reference;
  return estimator == KlEstimator::k2 ? d * d / 2 : std::exp(d) - d - 1;
}

// One trajectory after the other, every token of each.
std::vector<double> penalties_apart(const TrainingTree& training,
                                    const ObjectiveOptions& objective) {
  const SearchTree& tree = *training.tree;
  std::vector<double> penalties;
  for (const int32_t leaf : training.leaves) {
    const std::vector<int32_t> path = tree.path(leaf), used = tree.path_used_tokens(leaf);
    double sum = 0;
    for (size_t n = 1; n < path.size(); ++n) {
      for (int32_t offset = 0; offset < used[n]; ++offset) {
        const auto slot = static_cast<size_t>(path[n] * tree.segment_tokens() + offset);
        const double old = training.old_logprobs.empty()
                               ? tree.logprobs(path[n])[static_cast<size_t>(offset)]
                               : training.old_logprobs[slot];
        sum += estimate(objective.kl_estimator, old, training.reference_logprobs[slot]);
      }
    }
    penalties.push_back(objective.kl_beta * sum);
  }
  return penalties;
}

// Leaves minus the mean of those that share j nodes with them, over the j that several share.
std::vector<double> tree_advantages(const SearchTree& tree, const std::vector<int32_t>& leaves,
                                    const std::vector<double>& rewards) {
  std::vector<double> advantages;
  for (size_t i = 0; i < leaves.size(); ++i) {
    const std::vector<int32_t> path = tree.path(leaves[i]);
    double sum = 0, levels = 0;
    for (size_t depth = 0; depth < path.size(); ++depth) {
      double below = 0, count = 0;
      for (size_t k = 0; k < leaves.size(); ++k) {
        const std::vector<int32_t> other = tree.path(leaves[k]);
        if (depth >= other.size() || other[depth] != path[depth]) continue;
        below += rewards[k];
        ++count;
      }
      if (depth > 0 && count == 1) continue;
      sum += rewards[i] - (count > 1 ? below / count : 0);
      ++levels;
    }
    advantages.push_back(sum / levels);
  }
  return advantages;
}

TEST(KlReward, EqualsALoopOverTrajectories) {
  RandomTrees random(17, 11);
  int64_t shared = 0, fallbacks = 0;
  for (int round = 0; round < 200; ++round) {
    const SearchTree& tree = random.tree(16, 5);
    const TrainingTree training = random.training(tree, round % 2 == 0, true);
    shared += tree.unique_tokens() < tree.trajectory_tokens();
    for (const int32_t leaf : training.leaves) {
      const TreeNode& node = tree.node(leaf);
      fallbacks += node.parent > 0 && node.parent_used_tokens < tree.node(node.parent).num_tokens;
    }
    for (size_t e = 0; e < kEnumNames<KlEstimator>.size(); ++e) {
      const ObjectiveOptions objective{.kl_beta = random.uniform(0.01, 2),
                                       .kl_estimator = static_cast<KlEstimator>(e),
                                       .kl_in_reward = true};
      const std::vector<double> found = kl_penalties(training, objective);
      const std::vector<double> expected = penalties_apart(training, objective);
      ASSERT_EQ(found.size(), training.leaves.size());
      std::vector<double> rewards, penalized;
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_NEAR(found[i], expected[i], 1e-12) << "round " << round << ", leaf " << i;
        const double reward = random.integer(0, 1);
        rewards.push_back(reward - found[i]);
        penalized.push_back(reward - expected[i]);
      }
      const auto advantages = leaf_advantages(
          std::vector{query_rewards("drawn", tree, training.leaves, rewards)}, {.whiten = false});
      const std::vector<double> twin = tree_advantages(tree, training.leaves, penalized);
      for (size_t i = 0; i < twin.size(); ++i)
        EXPECT_NEAR(advantages[0].values[i], twin[i], 1e-12) << "round " << round << ", leaf " << i;
    }
  }
  EXPECT_GT(shared, 50);
  EXPECT_GT(fallbacks, 50);
}

// Log-probs are not a number where none of the leaves passes, as compute_logprobs leaves them.
TEST(KlReward, LooksAtNothingOutsideTheTrajectories) {
  SearchTree tree({7}, 4);
  const int32_t trunk = tree.add_child(0);
  for (int i = 0; i < 3; ++i) tree.append(trunk, 1, -1, 0);
  const int32_t leaf = tree.add_child(trunk, 2, true), other = tree.add_child(trunk);
  tree.append(leaf, 2, -0.5, 0);
  tree.append(other, 3, -0.5, 0);
  tree.stop(leaf, StopReason::eos);
  TrainingTree training{.tree = &tree, .leaves = tree.leaves(), .advantages = {0}};
  training.reference_logprobs.assign(16, std::nan(""));
  training.reference_logprobs[4] = -2;  // the trunk's first two tokens
  training.reference_logprobs[5] = -1.5;
  training.reference_logprobs[8] = -0.25;
  const ObjectiveOptions objective{.kl_beta = 2, .kl_estimator = KlEstimator::k1};
  EXPECT_EQ(kl_penalties(training, objective), std::vector<double>{2 * (1 + 0.5 - 0.25)});
}

// The loss is that without a KL term, which is measured all the same.
TEST(KlReward, IsNoPartOfTheLoss) {
  RandomTrees random(5, 11);
  const std::vector<TrainingTree> batch = random.batch(4, true, true);
  const PackedTrees pack = pack_trees(batch);
  std::vector<double> logprobs = pack.old_logprob;
  for (double& logprob : logprobs) logprob += random.uniform(-0.3, 0.3);
  const std::vector<double> entropies(static_cast<size_t>(pack.num_sources()), 1.0);
  ObjectiveOptions objective{.kl_beta = 0.5, .kl_estimator = KlEstimator::k1};
  const auto evaluate = [&] { return evaluate_objective(pack, logprobs, entropies, objective, 7); };
  const ObjectiveResult in_loss = evaluate();
  EXPECT_EQ(masked_leaves(objective), MaskedLeaves::packed);
  objective.kl_in_reward = true;
  const ObjectiveResult in_reward = evaluate();
  EXPECT_EQ(masked_leaves(objective), MaskedLeaves::dropped);
  objective = {};
  const ObjectiveResult without = evaluate();
  EXPECT_NE(in_loss.logprob_gradient, without.logprob_gradient);
  EXPECT_EQ(in_reward.logprob_gradient, without.logprob_gradient);
  EXPECT_EQ(in_reward.statistics.loss, without.statistics.loss);
  EXPECT_EQ(in_reward.statistics.kl_sum, in_loss.statistics.kl_sum);
  EXPECT_GT(in_reward.statistics.kl_sum, 0);
}

}  // namespace
}  // namespace treepo
