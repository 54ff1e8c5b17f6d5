#include "tree/budget.h"

#include <algorithm>

#include "base/error.h"

namespace treepo {

namespace {

// Keeps the draws of b apart from the first split's.
constexpr uint32_t kBranchingLane = 1;

int64_t paths_per_step(const GrowthOptions& options, const GrowthFacts& facts) {
  return options.tokens_per_step / facts.trees / options.segment_tokens;
}

// The range that the first split is drawn from, before it is held to U.
struct Range {
  int64_t low, high;
};

Range first_split_range(const GrowthOptions& options, const GrowthFacts& facts) {
  switch (options.budget) {
    case BudgetPolicy::transfer:
    case BudgetPolicy::fixed:
      return {options.first_split_min, options.first_split_max};
    case BudgetPolicy::random:
      return {options.branching_min, options.branching_max};
    case BudgetPolicy::tokens_per_step: {
      const int64_t paths = std::max<int64_t>(1, paths_per_step(options, facts));
      return {paths, paths};
    }
  }
  TREEPO_CHECK(false, "unknown budget {}", static_cast<int>(options.budget));
}

// Of `paths` that budget is granted for, b for each.
int64_t wanted_paths(const GrowthOptions& options, const GrowthFacts& facts, int64_t b,
                     int64_t paths) {
  return options.budget == BudgetPolicy::tokens_per_step ? paths_per_step(options, facts)
                                                         : b * paths;
}

}  // namespace

int32_t first_split(const GrowthOptions& options, const GrowthFacts& facts,
                    const RandomStream& growth) {
  if (options.sequential) return static_cast<int32_t>(options.width);
  const Range range = first_split_range(options, facts);
  const int64_t drawn = growth.integer(range.low, range.high, /*node=*/0, /*position=*/0);
  return static_cast<int32_t>(std::min<int64_t>(drawn, upper_bound(options, {})));
}

int32_t largest_first_split(const GrowthOptions& options, const GrowthFacts& facts) {
  const int64_t most = options.sequential ? options.width : first_split_range(options, facts).high;
  return static_cast<int32_t>(std::min(most, options.width));
}

int64_t branching_at(const GrowthOptions& options, int32_t barrier, const RandomStream& growth) {
  if (options.budget != BudgetPolicy::random) return options.branching_factor;
  return growth.integer(options.branching_min, options.branching_max,
                        static_cast<uint32_t>(barrier), /*position=*/0, kBranchingLane);
}

int32_t upper_bound(const GrowthOptions& options, const SegmentEnd& at) {
  if (options.limit == WidthLimit::trajectories || options.sequential) {
    return static_cast<int32_t>(options.width);
  }
  // A further trajectory may take tokens / paths tokens.
  int64_t tokens = options.segment_tokens, paths = 1;
  if (at.active > 0) {
    paths = at.active;
    tokens = at.active_tokens + paths * options.segment_tokens;
  } else if (at.trajectories > 0) {
    paths = at.trajectories;
    tokens = at.trajectory_tokens;
  }
  const int64_t left = std::max<int64_t>(0, options.token_budget - at.trajectory_tokens);
  return static_cast<int32_t>(std::clamp(at.trajectories + left * paths / tokens,
                                         std::min(options.width_min, options.width),
                                         options.width));
}

int32_t budget_at_segment_end(const GrowthOptions& options, const GrowthFacts& facts,
                              const SegmentEnd& at, const RandomStream& growth) {
  if (options.sequential) return at.active;
  const int64_t b = branching_at(options, at.barrier, growth);
  const bool transfers = options.budget != BudgetPolicy::fixed;
  const int64_t wanted =
      wanted_paths(options, facts, b, int64_t{at.active} + (transfers ? at.stopped_now : 0));
  const int64_t missing = int64_t{upper_bound(options, at)} - at.trajectories;
  return static_cast<int32_t>(std::max<int64_t>(at.active, std::min(missing, wanted)));
}

int32_t largest_next_budget(const GrowthOptions& options, const GrowthFacts& facts, int32_t paths,
                            int32_t trajectories) {
  if (options.sequential) return paths;
  const int64_t b =
      options.budget == BudgetPolicy::random ? options.branching_max : options.branching_factor;
  return static_cast<int32_t>(std::max<int64_t>(
      paths, std::min(options.width - trajectories, wanted_paths(options, facts, b, paths))));
}

}  // namespace treepo
