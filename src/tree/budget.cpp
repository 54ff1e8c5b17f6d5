#include "tree/budget.h"

#include <algorithm>

namespace treepo {

int32_t first_split(const GrowthOptions& options, const RandomStream& growth) {
  if (options.sequential) return static_cast<int32_t>(options.width);
  const int64_t drawn = growth.integer(options.first_split_min, options.first_split_max,
                                       /*node=*/0, /*position=*/0);
  return static_cast<int32_t>(std::min(drawn, options.width));
}

int32_t budget_at_segment_end(const GrowthOptions& options, const SegmentEnd& at) {
  if (options.sequential) return at.active;
  const int64_t wanted = options.branching_factor * (int64_t{at.stopped_now} + at.active);
  const int64_t missing = options.width - at.trajectories;
  return static_cast<int32_t>(std::max<int64_t>(at.active, std::min(missing, wanted)));
}

}  // namespace treepo
