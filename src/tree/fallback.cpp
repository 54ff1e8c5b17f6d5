#include "tree/fallback.h"

#include <algorithm>

#include "tree/fallback_order.h"
#include "tree/fallback_place.h"

namespace treepo {

std::vector<Branch> fallback_branches(const SearchTree& tree, int32_t missing,
                                      const GrowthOptions& options, const RandomStream& fallback,
                                      int32_t round) {
  if (options.fallback == FallbackPolicy::none || missing <= 0) return {};
  if (options.sequential) return {{.copies = missing}};
  if (options.fallback == FallbackPolicy::from_start) return {Branch{}};
  const int64_t wanted =
      options.fallback_copies == 0 ? options.branching_factor : options.fallback_copies;
  std::vector<Branch> branches;
  for (const int32_t index : fallback_order(tree, options, fallback, round)) {
    if (missing == 0) break;
    const int32_t leaf = tree.leaves()[static_cast<size_t>(index)];
    const int32_t kept = kept_tokens(tree, leaf, options, fallback, round, index);
    const Cut cut = cut_path(tree, leaf, kept, options.depth);
    const auto copies = static_cast<int32_t>(std::min<int64_t>(wanted, missing));
    add_branch(branches, {cut.parent, cut.parent_used_tokens, copies});
    missing -= copies;
  }
  return branches.empty() ? std::vector<Branch>{Branch{}} : branches;
}

}  // namespace treepo
