#include "app/bench_charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>
#include <vector>

#include "report/line_chart.h"

namespace treepo {

namespace {

using Number = std::function<double(const SamplingMeasurement&)>;
using Measurements = std::span<const SamplingMeasurement>;

bool is_tree(const SamplingMeasurement& m) {
  return m.what.baseline >= 0;
}

// The cases of a sweep together with those that the options name, which are one of its points.
bool belongs_to(const SamplingMeasurement& m, Sweep sweep) {
  return m.what.sweep == sweep || m.what.sweep == Sweep::none;
}

bool was_swept(Measurements measured, Sweep sweep) {
  return std::ranges::any_of(
      measured, [sweep](const SamplingMeasurement& m) { return m.what.sweep == sweep; });
}

// y over x of the sweep's trees or sequential cases, in the order of x.
ChartSeries series_of(Measurements measured, Sweep sweep, bool trees, const std::string& name,
                      const Number& x, const Number& y) {
  std::vector<std::pair<double, double>> points;
  for (const SamplingMeasurement& m : measured)
    if (belongs_to(m, sweep) && is_tree(m) == trees) points.emplace_back(x(m), y(m));
  std::ranges::sort(points);
  ChartSeries series{.name = name, .x = {}, .y = {}};
  for (const auto& [at, value] : points) {
    series.x.push_back(at);
    series.y.push_back(value);
  }
  return series;
}

LineChart depth_chart(Measurements measured) {
  LineChart chart{.title = "Tokens decoded / tokens of trajectories, by depth",
                  .x_label = "depth (segments)",
                  .y_label = "unique share (%)",
                  .series = {}};
  for (const SamplingMeasurement& m : measured) {
    if (!is_tree(m) || m.what.sweep == Sweep::lock_step) continue;
    ChartSeries series{.name = m.what.name, .x = {}, .y = {}};
    for (size_t i = 0; i < m.by_depth.size(); ++i) {
      series.x.push_back(static_cast<double>(i + 1));
      series.y.push_back(100 * static_cast<double>(m.by_depth[i].unique) /
                         static_cast<double>(m.by_depth[i].trajectory));
    }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

double trajectories_per_second(const SamplingMeasurement& m) {
  return m.trajectories_per_second();
}

// The sequential case as a level line across the trees' x.
ChartSeries level(Measurements measured, const ChartSeries& trees) {
  const double value = measured[0].trajectories_per_second();
  return {
      .name = measured[0].what.name, .x = {trees.x.front(), trees.x.back()}, .y = {value, value}};
}

LineChart tree_sweep_chart(Measurements measured, Sweep sweep, const std::string& title,
                           const std::string& x_label, bool log2_x, const Number& x) {
  ChartSeries trees = series_of(measured, sweep, true, "trees", x, trajectories_per_second);
  ChartSeries sequential = level(measured, trees);
  return {.title = title,
          .x_label = x_label,
          .y_label = "trajectories/s",
          .series = {std::move(trees), std::move(sequential)},
          .log2_x = log2_x};
}

LineChart width_chart(Measurements measured, const std::string& y_label, const Number& y) {
  const Number width = [](const SamplingMeasurement& m) {
    return static_cast<double>(m.what.settings.growth.width);
  };
  return {.title = fmt::format("{} by width", y_label),
          .x_label = "width (trajectories of a query)",
          .y_label = y_label,
          .series = {series_of(measured, Sweep::width, true, "trees", width, y),
                     series_of(measured, Sweep::width, false, "sequential", width, y)},
          .log2_x = true};
}

LineChart accuracy_chart(Measurements measured) {
  LineChart chart{.title = "Accuracy against compute",
                  .x_label = "tokens decoded and prefilled",
                  .y_label = "% of queries",
                  .series = {},
                  .log2_x = true};
  const Number tokens = [](const SamplingMeasurement& m) { return m.processed_tokens(); };
  const Number majority = [](const SamplingMeasurement& m) {
    return 100 * m.accuracy->majority.mean;
  };
  const Number average = [](const SamplingMeasurement& m) {
    return 100 * m.accuracy->average.mean;
  };
  const auto add = [&](Sweep sweep, bool trees, const std::string& name) {
    chart.series.push_back(series_of(measured, sweep, trees, "maj@w, " + name, tokens, majority));
    chart.series.push_back(series_of(measured, sweep, trees, "avg@w, " + name, tokens, average));
  };
  add(Sweep::width, true, "trees by width");
  add(Sweep::width, false, "sequential by width");
  if (was_swept(measured, Sweep::branching)) add(Sweep::branching, true, "trees by b");
  if (was_swept(measured, Sweep::first_split))
    add(Sweep::first_split, true, "trees by first split");
  return chart;
}

}  // namespace

std::string sampling_plot(Measurements measured) {
  std::vector<LineChart> charts = {depth_chart(measured)};
  if (was_swept(measured, Sweep::width)) {
    charts.push_back(width_chart(measured, "trajectories/s", trajectories_per_second));
    charts.push_back(
        width_chart(measured, "TokenPS (decoded + prefilled)",
                    [](const SamplingMeasurement& m) { return m.processed_tokens_per_second(); }));
  }
  if (was_swept(measured, Sweep::shape))
    charts.push_back(tree_sweep_chart(measured, Sweep::shape, "Depth × segment at one product",
                                      "depth (segments)", true, [](const SamplingMeasurement& m) {
                                        return static_cast<double>(m.what.settings.growth.depth);
                                      }));
  if (was_swept(measured, Sweep::branching))
    charts.push_back(
        tree_sweep_chart(measured, Sweep::branching, "Branching factor", "branching factor b",
                         false, [](const SamplingMeasurement& m) {
                           return static_cast<double>(m.what.settings.growth.branching_factor);
                         }));
  if (was_swept(measured, Sweep::first_split))
    charts.push_back(
        tree_sweep_chart(measured, Sweep::first_split, "First split", "mean first split (paths)",
                         false, [](const SamplingMeasurement& m) {
                           const GrowthOptions& growth = m.what.settings.growth;
                           return std::midpoint(static_cast<double>(growth.first_split_min),
                                                static_cast<double>(growth.first_split_max));
                         }));
  if (measured[0].accuracy) charts.push_back(accuracy_chart(measured));
  return charts_svg(charts);
}

}  // namespace treepo
