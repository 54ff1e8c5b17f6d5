#include "tree/growth.h"

#include <fmt/ranges.h>  // fmt::join

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>

#include "base/error.h"
#include "tree/divergence.h"
#include "tree/fallback.h"
#include "tree/prune.h"

namespace treepo {

bool needs_leaf_scores(const GrowthOptions& options) {
  return !options.sequential &&
         (needs_leaf_scores(options.divergence) || needs_leaf_scores(options.prune));
}

bool trees_share_budget(const GrowthOptions& options) {
  return options.budget == BudgetPolicy::tokens_per_step && !options.sequential;
}

TreeGrowth::TreeGrowth(const GrowthOptions& options, uint64_t seed, uint64_t query, uint64_t visit,
                       const GrowthFacts& facts)
    : options_(options),
      facts_(facts),
      growth_(seed, Purpose::growth, query, visit),
      fallback_(seed, Purpose::fallback, query, visit) {
  TREEPO_CHECK(facts.trees >= 1, "{} trees", facts.trees);
}

std::vector<Branch> TreeGrowth::start() const {
  return {{.copies = first_split(options_, facts_, growth_)}};
}

std::vector<int32_t> TreeGrowth::prune(const SearchTree& tree,
                                       std::span<const int32_t> active) const {
  return paths_to_prune(tree, active, options_);
}

SegmentEnd TreeGrowth::segment_end(const SearchTree& tree, std::span<const int32_t> active,
                                   int32_t stopped_now) const {
  SegmentEnd at{.active = static_cast<int32_t>(active.size()),
                .trajectories = static_cast<int32_t>(tree.leaves().size()),
                .stopped_now = stopped_now,
                .trajectory_tokens = tree.trajectory_tokens(),
                .barrier = barriers_ + 1};
  for (const int32_t node : active) at.active_tokens += tree.path_tokens(node);
  return at;
}

bool TreeGrowth::needs_next_entropies(const SearchTree& tree, std::span<const int32_t> active,
                                      int32_t stopped_now) const {
  if (!needs_next_entropy(options_.divergence) || active.size() < 2) return false;
  const SegmentEnd at = segment_end(tree, active, stopped_now);
  return budget_at_segment_end(options_, facts_, at, growth_) > at.active;
}

std::vector<Branch> TreeGrowth::next(const SearchTree& tree, std::span<const int32_t> active,
                                     int32_t stopped_now, const SplitBudget& split) {
  const SegmentEnd at = segment_end(tree, active, stopped_now);
  ++barriers_;
  return active.empty()
             ? fall_back(tree, upper_bound(options_, at) - at.trajectories)
             : branch(tree, active, budget_at_segment_end(options_, facts_, at, growth_), split);
}

namespace {

void check_children(std::span<const int32_t> children, size_t num_paths, int32_t budget) {
  const int64_t sum = std::accumulate(children.begin(), children.end(), int64_t{0});
  const bool each = std::ranges::all_of(children, [](int32_t count) { return count >= 1; });
  if (children.size() == num_paths && each && sum <= budget) return;
  throw Error(fmt::format("split_budget gave {} paths the children [{}]", num_paths,
                          fmt::join(children, ", ")),
              fmt::format("one number for each path, at least 1, together at most {}", budget));
}

}  // namespace

std::vector<Branch> TreeGrowth::branch(const SearchTree& tree, std::span<const int32_t> active,
                                       int32_t total, const SplitBudget& split) const {
  const bool ask = split && total > static_cast<int32_t>(active.size());
  const std::vector<int32_t> children =
      ask ? split(tree, active, total)
          : split_budget(tree, active, total, options_, facts_.training_share);
  if (ask) check_children(children, active.size(), total);
  std::vector<Branch> branches;
  for (size_t i = 0; i < active.size(); ++i) {
    branches.push_back({active[i], tree.node(active[i]).num_tokens, children[i]});
  }
  return branches;
}

std::vector<Branch> TreeGrowth::fall_back(const SearchTree& tree, int32_t missing) {
  const size_t trajectories = tree.leaves().size();
  const bool barren = fallback_rounds_ > 0 && trajectories == trajectories_before_;
  barren_fallbacks_ = barren ? barren_fallbacks_ + 1 : 0;
  trajectories_before_ = trajectories;
  const bool too_many =
      options_.fallback_max_rounds > 0 && fallback_rounds_ == options_.fallback_max_rounds;
  if (too_many || barren_fallbacks_ == kMaxBarrenFallbacks) return {};
  return fallback_branches(tree, missing, options_, fallback_, fallback_rounds_++);
}

namespace {

constexpr int64_t kMost = int64_t{1} << 24;  // node ids and lengths are 32-bit numbers

void check_count(std::string_view key, int64_t value, int64_t smallest) {
  if (value < smallest || value > kMost) {
    throw Error(fmt::format("rollout.{} is {}", key, value),
                fmt::format("it must lie between {} and {}", smallest, kMost));
  }
}

void check_number(std::string_view key, double value, bool in_range, std::string_view range) {
  if (!in_range || !std::isfinite(value)) {
    throw Error(fmt::format("rollout.{} is {}", key, value), fmt::format("it must be {}", range));
  }
}

}  // namespace

void check_growth_options(const GrowthOptions& options) {
  const GrowthOptions& o = options;
  check_count("width", o.width, 1);
  check_count("depth", o.depth, 1);
  check_count("segment_tokens", o.segment_tokens, 1);
  check_count("branching_factor", o.branching_factor, 1);
  check_count("first_split_min", o.first_split_min, 1);
  check_count("first_split_max", o.first_split_max, o.first_split_min);
  check_count("branching_min", o.branching_min, 1);
  check_count("branching_max", o.branching_max, o.branching_min);
  check_count("tokens_per_step", o.tokens_per_step, 1);
  check_count("token_budget", o.token_budget, 1);
  check_count("width_min", o.width_min, 1);
  check_number("divergence_temperature", o.divergence_temperature, o.divergence_temperature > 0,
               "above 0");
  check_number("divergence_temperature_low", o.divergence_temperature_low,
               o.divergence_temperature_low > 0, "above 0");
  check_number("divergence_temperature_high", o.divergence_temperature_high,
               o.divergence_temperature_high >= o.divergence_temperature_low,
               "at least rollout.divergence_temperature_low");
  check_number("prune_share", o.prune_share, o.prune_share >= 0 && o.prune_share < 1,
               "at least 0 and below 1");
  check_number("prune_margin", o.prune_margin, o.prune_margin >= 0, "at least 0");
  check_count("fallback_min_windows", o.fallback_min_windows, 1);
  check_count("fallback_window", o.fallback_window, 0);
  check_count("fallback_max_windows", o.fallback_max_windows, 0);
  check_count("fallback_block_tokens", o.fallback_block_tokens, 1);
  check_count("fallback_copies", o.fallback_copies, 0);
  check_count("fallback_max_rounds", o.fallback_max_rounds, 0);
}

}  // namespace treepo
