#include "learn/whiten.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace treepo {
namespace {

// Added to a variance before its root, as verl's masked_whiten does.
constexpr double kWhitenEpsilon = 1e-8;

}  // namespace

void whiten(std::span<const WeightedValue> values) {
  double tokens = 0, sum = 0;
  double lowest = std::numeric_limits<double>::infinity(), highest = -lowest;
  for (const auto& [value, n] : values) {
    tokens += n;
    sum += n * *value;
    if (n > 0) {
      lowest = std::min(lowest, *value);
      highest = std::max(highest, *value);
    }
  }
  if (lowest >= highest) {
    for (const auto& [value, n] : values) *value = 0;
    return;
  }
  const double mean = sum / tokens;
  double squares = 0;
  for (const auto& [value, n] : values) squares += n * (*value - mean) * (*value - mean);
  const double scale = 1.0 / std::sqrt(squares / (tokens - 1) + kWhitenEpsilon);
  for (const auto& [value, n] : values) *value = (*value - mean) * scale;
}

void divide_by_root_mean_square(std::span<const WeightedValue> values) {
  double tokens = 0, squares = 0;
  for (const auto& [value, n] : values) {
    tokens += n;
    squares += n * *value * *value;
  }
  if (tokens == 0) return;
  const double scale = 1.0 / std::sqrt(squares / tokens + kWhitenEpsilon);
  for (const auto& [value, n] : values) *value *= scale;
}

}  // namespace treepo
