#include "tree/growth.h"

#include <string_view>

#include "base/error.h"
#include "tree/budget.h"
#include "tree/divergence.h"
#include "tree/fallback.h"

namespace treepo {

namespace {

constexpr int64_t kMost = int64_t{1} << 24;  // node ids and lengths are 32-bit numbers

}  // namespace

TreeGrowth::TreeGrowth(const GrowthOptions& options, uint64_t seed, uint64_t query, uint64_t visit)
    : options_(options),
      growth_(seed, Purpose::growth, query, visit),
      fallback_(seed, Purpose::fallback, query, visit) {}

std::vector<Branch> TreeGrowth::start() const {
  return {{.copies = first_split(options_, growth_)}};
}

std::vector<Branch> TreeGrowth::next(const SearchTree& tree, std::span<const int32_t> active,
                                     int32_t stopped_now) {
  const auto trajectories = static_cast<int32_t>(tree.leaves().size());
  if (active.empty()) {
    if (fallback_rounds_ == kMaxFallbackRounds) return {};
    const auto missing = static_cast<int32_t>(options_.width) - trajectories;
    return fallback_branches(tree, missing, options_, fallback_, fallback_rounds_++);
  }
  const auto num_active = static_cast<int32_t>(active.size());
  const int32_t total = budget_at_segment_end(
      options_, {.active = num_active, .trajectories = trajectories, .stopped_now = stopped_now});
  const std::vector<int32_t> children = split_budget(options_.divergence, total, num_active);
  std::vector<Branch> branches;
  for (size_t i = 0; i < active.size(); ++i) {
    branches.push_back({active[i], tree.node(active[i]).num_tokens, children[i]});
  }
  return branches;
}

void check_growth_options(const GrowthOptions& options) {
  const auto check = [](std::string_view key, int64_t value, int64_t smallest) {
    if (value < smallest || value > kMost) {
      throw Error(fmt::format("rollout.{} is {}", key, value),
                  fmt::format("it must lie between {} and {}", smallest, kMost));
    }
  };
  check("width", options.width, 1);
  check("depth", options.depth, 1);
  check("segment_tokens", options.segment_tokens, 1);
  check("branching_factor", options.branching_factor, 1);
  check("first_split_min", options.first_split_min, 1);
  check("first_split_max", options.first_split_max, options.first_split_min);
  check("fallback_window", options.fallback_window, 0);
  check("fallback_max_windows", options.fallback_max_windows, 0);
}

}  // namespace treepo
