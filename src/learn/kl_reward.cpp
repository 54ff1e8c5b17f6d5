#include "learn/kl_reward.h"

#include "base/error.h"
#include "learn/loss_terms.h"

namespace treepo {

std::vector<double> kl_penalties(const TrainingTree& training, const ObjectiveOptions& objective) {
  const SearchTree& tree = *training.tree;
  const auto segment_tokens = static_cast<size_t>(tree.segment_tokens());
  const size_t slots = static_cast<size_t>(tree.num_nodes()) * segment_tokens;
  TREEPO_CHECK(training.reference_logprobs.size() == slots, "{} log-probs for {} slots",
               training.reference_logprobs.size(), slots);
  // Of the response down to the first `tokens` of a node's segment; a parent comes before its
  // children. What no trajectory passes is not a number, and so is what follows it.
  std::vector<double> sums(slots);
  const auto sum_at = [&](int32_t node, int32_t tokens) {
    if (node == 0 || tokens == 0) return 0.0;
    return sums[static_cast<size_t>(node) * segment_tokens + static_cast<size_t>(tokens) - 1];
  };
  for (int32_t id = 1; id < tree.num_nodes(); ++id) {
    double sum = sum_at(tree.node(id).parent, tree.node(id).parent_used_tokens);
    size_t slot = static_cast<size_t>(id) * segment_tokens;
    for (const double sampled : tree.logprobs(id)) {
      const double old = training.old_logprobs.empty() ? sampled : training.old_logprobs[slot];
      sum += kl_term(objective.kl_estimator, training.reference_logprobs[slot] - old).loss;
      sums[slot++] = sum;
    }
  }
  std::vector<double> penalties;
  for (const int32_t leaf : training.leaves)
    penalties.push_back(objective.kl_beta * sum_at(leaf, tree.node(leaf).num_tokens));
  return penalties;
}

}  // namespace treepo
