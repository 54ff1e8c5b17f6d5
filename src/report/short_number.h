#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

#include "base/json.h"

namespace treepo {

// The number to 6 significant digits; null where it is not finite. Whole numbers lose their ".0".
inline OrderedJson short_number(double value) {
  if (!std::isfinite(value)) return nullptr;
  const double rounded = std::strtod(fmt::format("{:.6g}", value).c_str(), nullptr);
  if (rounded == std::floor(rounded) && std::abs(rounded) < 1e15)
    return static_cast<int64_t>(rounded);
  return rounded;
}

}  // namespace treepo
