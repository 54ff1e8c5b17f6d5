#include "tree/fallback.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace treepo {

namespace {

// Lanes keep the two kinds of draws of a round apart.
constexpr uint32_t kOrderLane = 0, kBoundaryLane = 1;

// Indices 0…count-1 in random order (Fisher–Yates).
std::vector<int32_t> random_order(int32_t count, const RandomStream& fallback, int32_t round) {
  std::vector<int32_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (int32_t i = 0; i + 1 < count; ++i) {
    const int64_t j = fallback.integer(i, count - 1, static_cast<uint32_t>(round),
                                       static_cast<uint32_t>(i), kOrderLane);
    std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(j)]);
  }
  return order;
}

}  // namespace

int32_t draw_kept_tokens(int32_t path_tokens, int64_t window, int64_t max_windows,
                         const RandomStream& fallback, int32_t round, int32_t index) {
  TREEPO_CHECK(path_tokens >= 1 && window >= 1, "a path of {} tokens, a window of {}", path_tokens,
               window);
  const int64_t windows = (path_tokens + window - 1) / window;
  const int64_t most = max_windows == 0 ? windows : std::min(windows, max_windows);
  const int64_t dropped = fallback.integer(1, most, static_cast<uint32_t>(round),
                                           static_cast<uint32_t>(index), kBoundaryLane);
  return static_cast<int32_t>((windows - dropped) * window);
}

Cut cut_path(const SearchTree& tree, int32_t leaf, int32_t kept_tokens, int64_t max_depth) {
  Cut cut{.parent = leaf, .parent_used_tokens = tree.node(leaf).num_tokens};
  const auto move_up = [&] {
    const TreeNode& left = tree.node(cut.parent);
    cut = {.parent = left.parent, .parent_used_tokens = left.parent_used_tokens};
  };
  while (cut.parent != 0 && tree.node(cut.parent).prefix_tokens >= kept_tokens) move_up();
  if (cut.parent != 0) {
    cut.parent_used_tokens = kept_tokens - tree.node(cut.parent).prefix_tokens;
  }
  while (tree.node(cut.parent).depth >= max_depth) move_up();
  return cut;
}

std::vector<Branch> fallback_branches(const SearchTree& tree, int32_t missing,
                                      const GrowthOptions& options, const RandomStream& fallback,
                                      int32_t round) {
  if (options.fallback == FallbackPolicy::none || missing <= 0) return {};
  if (options.sequential) return {{.copies = missing}};
  const std::vector<int32_t>& leaves = tree.leaves();
  if (leaves.empty()) return {Branch{}};
  const int64_t window =
      options.fallback_window == 0 ? options.segment_tokens : options.fallback_window;
  std::vector<Branch> branches;
  for (const int32_t index : random_order(static_cast<int32_t>(leaves.size()), fallback, round)) {
    if (missing == 0) break;
    const int32_t leaf = leaves[static_cast<size_t>(index)];
    const int32_t kept = draw_kept_tokens(tree.path_tokens(leaf), window,
                                          options.fallback_max_windows, fallback, round, index);
    const Cut cut = cut_path(tree, leaf, kept, options.depth);
    const auto copies = static_cast<int32_t>(std::min<int64_t>(options.branching_factor, missing));
    add_branch(branches, {cut.parent, cut.parent_used_tokens, copies});
    missing -= copies;
  }
  return branches;
}

}  // namespace treepo
