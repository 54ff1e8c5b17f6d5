#pragma once

#include <cstdint>
#include <vector>

#include "config/options.h"

namespace treepo {

// How a budget is split over the active paths: children of each path, at least 1, adding up to
// `total`. Needs num_paths >= 1 and total >= num_paths.
std::vector<int32_t> split_budget(BudgetSplit policy, int32_t total, int32_t num_paths);

// floor(total / num_paths) each, the remainder to the last. Example: 7 over 3 paths is 2, 2, 3.
std::vector<int32_t> split_even(int32_t total, int32_t num_paths);

}  // namespace treepo
