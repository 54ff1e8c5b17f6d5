#pragma once

#include <span>
#include <string>
#include <vector>

namespace treepo {

struct ChartSeries {
  std::string name;
  std::vector<double> x, y;           // equally many; points that are not finite are left out
  std::vector<double> low{}, high{};  // a band around y, as many as y; empty: none
};

struct LineChart {
  std::string title, x_label, y_label;
  std::vector<ChartSeries> series;
  bool log2_x = false;  // x grows by doubling; all x above 0
};

// The charts below one another as one SVG document that needs nothing else: axes with round
// numbers, a line with markers for each series, a legend. The y axis begins at 0 unless a value is
// below. Charts without any point are left out. Equal input gives equal bytes.
std::string charts_svg(std::span<const LineChart> charts);

}  // namespace treepo
