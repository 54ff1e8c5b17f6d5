#pragma once

#include <span>

namespace treepo {

// An advantage and how many tokens of the batch it counts for.
struct WeightedValue {
  double* value = nullptr;
  double tokens = 0;
};

// value = (value - m) / sqrt(v + 1e-8), m and v (n - 1 in the denominator) over tokens. 0 for all
// where all are equal, rather than rounding noise times 1e4.
void whiten(std::span<const WeightedValue> values);

// value = value / sqrt(mean square over tokens + 1e-8): keeps what is 0 at 0.
void divide_by_root_mean_square(std::span<const WeightedValue> values);

}  // namespace treepo
