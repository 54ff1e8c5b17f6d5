#include "report/study_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>

#include "base/files.h"
#include "base/json.h"
#include "report/line_chart.h"

namespace treepo {

namespace {

// Measures worth a column, most telling first.
constexpr std::string_view kMeasures[] = {"eval/pass@1", "eval/greedy", "eval/score",
                                          "eval/unseen/pass@1", "eval/unseen/score"};
// The largest k has a column too.
constexpr std::string_view kMajority = "eval/maj@";

// One evaluation, with what training had cost up to it.
struct Point {
  int64_t step = 0;
  double unique_tokens = 0, trajectory_tokens = 0, seconds = 0;
  std::map<std::string, double> measures;
};

struct Run {
  std::string variant;
  std::vector<Point> points;
};

double number_of(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? found->get<double>() : 0;
}

void add_line(const Json& line, Point& spent, std::vector<Point>& points) {
  spent.unique_tokens += number_of(line, "sampling/unique_tokens");
  spent.trajectory_tokens += number_of(line, "sampling/trajectory_tokens");
  spent.seconds += number_of(line, "time/step");
  if (!line.contains("eval/score")) return;
  Point point = spent;
  point.step = static_cast<int64_t>(number_of(line, "step"));
  for (const auto& [key, value] : line.items())
    if (key.starts_with("eval/") && value.is_number()) point.measures[key] = value.get<double>();
  points.push_back(std::move(point));
}

Run read_run(const StudyRunLog& log) {
  Run run{.variant = log.variant, .points = {}};
  if (!file_system().exists(log.metrics)) return run;
  const std::string text = read_file(log.metrics);
  Point spent;
  int64_t number = 0;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    add_line(parse_json(line, fmt::format("{}, line {}", log.metrics, ++number)), spent,
             run.points);
  }
  return run;
}

Spread spread_of(std::span<const double> values) {
  Spread spread{.count = std::ssize(values)};
  if (values.empty()) return spread;
  for (const double value : values) spread.mean += value / static_cast<double>(values.size());
  double squares = 0;
  for (const double value : values) squares += (value - spread.mean) * (value - spread.mean);
  if (values.size() > 1) spread.deviation = std::sqrt(squares / double(values.size() - 1));
  return spread;
}

template <typename Value>
Spread spread_over(const std::vector<const Run*>& runs, Value value) {
  std::vector<double> values;
  for (const Run* run : runs) values.push_back(value(run->points.back()));
  return spread_of(values);
}

std::vector<std::string> find_measures(const std::vector<Run>& runs) {
  std::vector<std::string> found;
  const auto some_run_has = [&](const std::string& name) {
    return std::ranges::any_of(runs, [&](const Run& run) {
      return !run.points.empty() && run.points.back().measures.contains(name);
    });
  };
  for (const std::string_view name : kMeasures)
    if (some_run_has(std::string(name))) found.emplace_back(name);
  int64_t largest = 0;
  for (const Run& run : runs) {
    if (run.points.empty()) continue;
    for (const auto& [name, value] : run.points.back().measures)
      if (name.starts_with(kMajority))
        largest = std::max<int64_t>(largest, std::atoll(name.c_str() + kMajority.size()));
  }
  if (largest > 0) found.push_back(fmt::format("{}{}", kMajority, largest));
  return found;
}

std::vector<std::string> variants_of(const std::vector<Run>& runs) {
  std::vector<std::string> names;
  for (const Run& run : runs)
    if (std::ranges::find(names, run.variant) == names.end()) names.push_back(run.variant);
  return names;
}

// Those that have been evaluated.
std::vector<const Run*> runs_of(const std::vector<Run>& runs, const std::string& variant) {
  std::vector<const Run*> found;
  for (const Run& run : runs)
    if (run.variant == variant && !run.points.empty()) found.push_back(&run);
  return found;
}

StudyRow row_of(const std::vector<Run>& all, const std::string& variant,
                const std::vector<std::string>& measures) {
  const std::vector<const Run*> runs = runs_of(all, variant);
  StudyRow row;
  row.variant = variant;
  row.runs = std::ssize(runs);
  for (const std::string& name : measures) {
    std::vector<double> values;
    for (const Run* run : runs) {
      const auto found = run->points.back().measures.find(name);
      if (found != run->points.back().measures.end()) values.push_back(found->second);
    }
    row.measures.push_back(spread_of(values));
  }
  row.steps = spread_over(runs, [](const Point& p) { return static_cast<double>(p.step); });
  row.unique_tokens = spread_over(runs, [](const Point& p) { return p.unique_tokens; });
  row.trajectory_tokens = spread_over(runs, [](const Point& p) { return p.trajectory_tokens; });
  row.seconds = spread_over(runs, [](const Point& p) { return p.seconds; });
  return row;
}

std::string measure_cell(const Spread& spread) {
  if (spread.count == 0) return "–";
  if (spread.count == 1) return fmt::format("{:.1f} %", 100 * spread.mean);
  return fmt::format("{:.1f} ± {:.1f} %", 100 * spread.mean, 100 * spread.deviation);
}

std::string markdown_of(const StudyComparison& comparison) {
  std::string head = "| variant | runs | steps |", rule = "|---|---|---|";
  for (const std::string& name : comparison.measures) {
    head += fmt::format(" {} |", name.substr(std::string_view("eval/").size()));
    rule += "---|";
  }
  std::string text =
      head + " decoded tokens | trajectory tokens | seconds |\n" + rule + "---|---|---|\n";
  for (const StudyRow& row : comparison.rows) {
    text += fmt::format("| {} | {} | {:.0f} |", row.variant, row.runs, row.steps.mean);
    for (const Spread& spread : row.measures) text += fmt::format(" {} |", measure_cell(spread));
    text += fmt::format(" {:.0f} k | {:.0f} k | {:.0f} |\n", row.unique_tokens.mean / 1e3,
                        row.trajectory_tokens.mean / 1e3, row.seconds.mean);
  }
  return text;
}

// Mean over the runs at each of the first one's evaluations that all of them have reached.
template <typename X>
ChartSeries curve_of(const std::string& variant, const std::vector<const Run*>& runs,
                     const std::string& measure, X x) {
  ChartSeries series{.name = variant, .x = {}, .y = {}};
  size_t length = runs.empty() ? 0 : runs[0]->points.size();
  for (const Run* run : runs) length = std::min(length, run->points.size());
  for (size_t i = 0; i < length; ++i) {
    std::vector<double> at, values;
    for (const Run* run : runs) {
      const auto found = run->points[i].measures.find(measure);
      if (found == run->points[i].measures.end()) continue;
      at.push_back(x(run->points[i]));
      values.push_back(found->second);
    }
    if (values.empty()) continue;
    series.x.push_back(spread_of(at).mean);
    series.y.push_back(spread_of(values).mean);
    series.low.push_back(std::ranges::min(values));
    series.high.push_back(std::ranges::max(values));
  }
  return series;
}

template <typename X>
LineChart chart_of(const std::vector<Run>& runs, const std::string& measure, const char* x_label,
                   X x) {
  LineChart chart{.title = measure, .x_label = x_label, .y_label = measure, .series = {}};
  for (const std::string& variant : variants_of(runs))
    chart.series.push_back(curve_of(variant, runs_of(runs, variant), measure, x));
  return chart;
}

}  // namespace

StudyComparison compare_study(std::span<const StudyRunLog> logs) {
  std::vector<Run> runs;
  for (const StudyRunLog& log : logs) runs.push_back(read_run(log));
  StudyComparison comparison;
  comparison.measures = find_measures(runs);
  for (const std::string& variant : variants_of(runs))
    comparison.rows.push_back(row_of(runs, variant, comparison.measures));
  comparison.markdown = markdown_of(comparison);
  if (comparison.measures.empty()) return comparison;
  const std::string& measure = comparison.measures[0];
  const std::vector<LineChart> charts = {
      chart_of(runs, measure, "steps", [](const Point& p) { return double(p.step); }),
      chart_of(runs, measure, "thousand tokens decoded in training",
               [](const Point& p) { return p.unique_tokens / 1e3; }),
      chart_of(runs, measure, "seconds of training, evaluation left out",
               [](const Point& p) { return p.seconds; })};
  comparison.svg = charts_svg(charts);
  return comparison;
}

}  // namespace treepo
