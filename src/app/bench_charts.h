#pragma once

#include <span>
#include <string>

#include "evaluate/sampling_benchmark.h"

namespace treepo {

// The plot of `treepo bench sample`: the unique share by depth, then a chart for each sweep, and
// accuracy against tokens where there was a verifier. One SVG document.
std::string sampling_plot(std::span<const SamplingMeasurement> measured);

}  // namespace treepo
