#include "tree/divergence.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "base/error.h"
#include "tree/path_facts.h"

namespace treepo {

namespace {

template <typename ScoreOf>
std::vector<double> scores_of(std::span<const int32_t> paths, double sign, const ScoreOf& score) {
  std::vector<double> scores;
  for (const int32_t node : paths) scores.push_back(sign * score(node));
  return scores;
}

}  // namespace

std::vector<double> path_scores(BudgetSplit policy, const SearchTree& tree,
                                std::span<const int32_t> active) {
  const auto whole = [&](int32_t node) { return sum_logprob(tree, node); };
  const auto mean = [&](int32_t node) { return mean_logprob(tree, node); };
  const auto segment = [&](int32_t node) {
    return mean_logprob(tree, node, tree.segment_tokens());
  };
  const auto entropy = [&](int32_t node) { return tree.node(node).next_entropy; };
  const auto segment_entropy = [&](int32_t node) {
    return mean_entropy(tree, node, tree.segment_tokens());
  };
  const auto values = [&](double sign) {
    std::vector<double> scores = early_values(tree, active);
    for (double& score : scores) score *= sign;
    return scores;
  };
  switch (policy) {
    case BudgetSplit::even:
      break;
    case BudgetSplit::low_logprob:
      return scores_of(active, -1, whole);
    case BudgetSplit::high_logprob:
      return scores_of(active, +1, whole);
    case BudgetSplit::low_mean_logprob:
      return scores_of(active, -1, mean);
    case BudgetSplit::high_mean_logprob:
      return scores_of(active, +1, mean);
    case BudgetSplit::low_segment_logprob:
      return scores_of(active, -1, segment);
    case BudgetSplit::high_segment_logprob:
      return scores_of(active, +1, segment);
    case BudgetSplit::low_entropy:
      return scores_of(active, -1, entropy);
    case BudgetSplit::high_entropy:
      return scores_of(active, +1, entropy);
    case BudgetSplit::low_segment_entropy:
      return scores_of(active, -1, segment_entropy);
    case BudgetSplit::high_segment_entropy:
      return scores_of(active, +1, segment_entropy);
    case BudgetSplit::low_value:
      return values(-1);
    case BudgetSplit::high_value:
      return values(+1);
  }
  TREEPO_CHECK(false, "divergence {} has no scores", static_cast<int>(policy));
}

bool needs_leaf_scores(BudgetSplit policy) {
  return policy == BudgetSplit::low_value || policy == BudgetSplit::high_value;
}

bool needs_next_entropy(BudgetSplit policy) {
  return policy == BudgetSplit::low_entropy || policy == BudgetSplit::high_entropy;
}

std::vector<int32_t> split_budget(const SearchTree& tree, std::span<const int32_t> active,
                                  int32_t total, const GrowthOptions& options,
                                  double training_share) {
  const auto num_paths = static_cast<int32_t>(active.size());
  TREEPO_CHECK(num_paths >= 1 && total >= num_paths, "{} children for {} paths", total, num_paths);
  if (options.divergence == BudgetSplit::even) return split_even(total, num_paths);
  // One child each, whatever the scores: they may not be known then.
  if (total == num_paths || num_paths == 1) return split_even(total, num_paths);
  return split_weighted(path_scores(options.divergence, tree, active), total,
                        divergence_temperature(options, training_share));
}

std::vector<int32_t> split_even(int32_t total, int32_t num_paths) {
  std::vector<int32_t> children(static_cast<size_t>(num_paths), total / num_paths);
  children.back() += total % num_paths;
  return children;
}

std::vector<int32_t> split_weighted(std::span<const double> scores, int32_t total,
                                    double temperature) {
  const auto num_paths = static_cast<int32_t>(scores.size());
  const double highest = *std::ranges::max_element(scores);
  std::vector<double> shares;
  for (const double score : scores) {
    TREEPO_CHECK(std::isfinite(score), "a path's score is {}", score);
    shares.push_back(std::exp((score - highest) / temperature));
  }
  const int32_t free = total - num_paths;
  const double scale = free / std::accumulate(shares.begin(), shares.end(), 0.0);
  std::vector<int32_t> children;
  int32_t left = free;
  for (double& share : shares) {
    share *= scale;
    // Rounding may lift the last share above what is left, by less than 1.
    const int32_t whole = std::min(static_cast<int32_t>(share), left);
    children.push_back(1 + whole);
    share -= whole;
    left -= whole;
  }
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater(), [&](size_t i) { return shares[i]; });
  for (size_t i = 0; left > 0; i = (i + 1) % order.size(), --left) ++children[order[i]];
  return children;
}

double divergence_temperature(const GrowthOptions& options, double training_share) {
  const double low = options.divergence_temperature_low;
  const double high = options.divergence_temperature_high;
  const double swing = (high - low) / 2 * std::sin(std::numbers::pi * (training_share - 0.5));
  switch (options.divergence_schedule) {
    case TemperatureSchedule::constant:
      return options.divergence_temperature;
    case TemperatureSchedule::ascending:
      return (low + high) / 2 + swing;
    case TemperatureSchedule::descending:
      return (low + high) / 2 - swing;
  }
  TREEPO_CHECK(false, "unknown schedule {}", static_cast<int>(options.divergence_schedule));
}

}  // namespace treepo
