#include "tree/prune.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "tree/path_facts.h"

namespace treepo {

std::vector<double> path_worths(PrunePolicy policy, const SearchTree& tree,
                                std::span<const int32_t> active) {
  std::vector<double> worths;
  switch (policy) {
    case PrunePolicy::none:
      break;
    case PrunePolicy::logprob:
      for (const int32_t node : active) worths.push_back(mean_logprob(tree, node));
      return worths;
    case PrunePolicy::entropy:
      for (const int32_t node : active) {
        worths.push_back(-mean_entropy(tree, node, tree.segment_tokens()));
      }
      return worths;
    case PrunePolicy::value:
      return early_values(tree, active);
  }
  TREEPO_CHECK(false, "pruning {} knows no worth", static_cast<int>(policy));
}

bool needs_leaf_scores(PrunePolicy policy) {
  return policy == PrunePolicy::value;
}

std::vector<int32_t> paths_to_prune(const SearchTree& tree, std::span<const int32_t> active,
                                    const GrowthOptions& options) {
  if (options.prune == PrunePolicy::none || options.sequential || active.size() < 2) return {};
  // 0.29 · 100 is a little below 29.
  const auto share =
      static_cast<size_t>(options.prune_share * static_cast<double>(active.size()) * (1 + 1e-12));
  const size_t most = std::min(share, active.size() - 1);
  const std::vector<double> worths = path_worths(options.prune, tree, active);
  const double mean =
      std::accumulate(worths.begin(), worths.end(), 0.0) / static_cast<double>(worths.size());
  std::vector<size_t> order(active.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return worths[i]; });
  std::vector<int32_t> pruned;
  for (const size_t i : order) {
    if (pruned.size() == most || !(worths[i] < mean - options.prune_margin)) break;
    pruned.push_back(active[i]);
  }
  std::ranges::sort(pruned);  // ids are in the order of `active`
  return pruned;
}

}  // namespace treepo
