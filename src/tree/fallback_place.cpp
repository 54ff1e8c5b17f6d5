#include "tree/fallback_place.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "base/arithmetic.h"
#include "base/error.h"
#include "tree/fallback_order.h"  // window_tokens

namespace treepo {

namespace {

constexpr uint32_t kPlaceLane = 1;  // fallback_order.cpp has lanes 0 and 2

// The start of a block that begins at token `first` or later: at least the last block.
int32_t draw_block(std::span<const double> logprobs, double sign, int32_t first, int64_t block,
                   double u) {
  const auto n = static_cast<int64_t>(logprobs.size());
  const int64_t last = (n - 1) / block;
  const int64_t begin = std::min(last, divide_up(first, block));
  std::vector<double> weights;
  for (int64_t b = begin; b <= last; ++b) {
    const int64_t count = std::min(block, n - b * block);
    const auto tokens =
        logprobs.subspan(static_cast<size_t>(b * block), static_cast<size_t>(count));
    weights.push_back(sign * std::accumulate(tokens.begin(), tokens.end(), 0.0) /
                      static_cast<double>(count));
  }
  const double highest = *std::ranges::max_element(weights);
  for (double& weight : weights) weight = std::exp(weight - highest);
  double left = u * std::accumulate(weights.begin(), weights.end(), 0.0);
  size_t drawn = 0;
  while (drawn + 1 < weights.size() && left >= weights[drawn]) left -= weights[drawn++];
  return static_cast<int32_t>((begin + static_cast<int64_t>(drawn)) * block);
}

template <typename Better>
int32_t best_from(const std::vector<double>& values, int32_t first, const Better& better) {
  return static_cast<int32_t>(std::min_element(values.begin() + first, values.end(), better) -
                              values.begin());
}

}  // namespace

int32_t draw_kept_tokens(int32_t path_tokens, int64_t window, int64_t max_windows,
                         const RandomStream& fallback, int32_t round, int32_t index) {
  TREEPO_CHECK(path_tokens >= 1 && window >= 1, "a path of {} tokens, a window of {}", path_tokens,
               window);
  const int64_t windows = divide_up(path_tokens, window);
  const int64_t most = max_windows == 0 ? windows : std::min(windows, max_windows);
  const int64_t dropped = fallback.integer(1, most, static_cast<uint32_t>(round),
                                           static_cast<uint32_t>(index), kPlaceLane);
  return static_cast<int32_t>((windows - dropped) * window);
}

int32_t kept_tokens(const SearchTree& tree, int32_t leaf, const GrowthOptions& options,
                    const RandomStream& fallback, int32_t round, int32_t index) {
  const int32_t n = tree.path_tokens(leaf);
  const int64_t window = window_tokens(options);
  if (n < window) return 0;
  const int64_t looked_at =
      options.fallback_max_windows == 0 ? n : options.fallback_max_windows * window;
  const auto first = static_cast<int32_t>(std::max<int64_t>(0, n - looked_at));
  const auto block = [&](double sign) {
    const double u =
        fallback.uniform(static_cast<uint32_t>(round), static_cast<uint32_t>(index), kPlaceLane);
    return draw_block(tree.response_logprobs(leaf), sign, first, options.fallback_block_tokens, u);
  };
  switch (options.fallback) {
    case FallbackPolicy::none:
      break;
    case FallbackPolicy::random:
      return draw_kept_tokens(n, window, options.fallback_max_windows, fallback, round, index);
    case FallbackPolicy::lowest_logprob:
      return best_from(tree.response_logprobs(leaf), first, std::less());
    case FallbackPolicy::highest_entropy:
      return best_from(tree.response_entropies(leaf), first, std::greater());
    case FallbackPolicy::block:
      return block(-1);
    case FallbackPolicy::inverse_block:
      return block(+1);
    case FallbackPolicy::from_start:
      return 0;
  }
  TREEPO_CHECK(false, "fallback {} has no place", static_cast<int>(options.fallback));
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

}  // namespace treepo
