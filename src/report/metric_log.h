#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace treepo {

// metrics.jsonl as columns. Lines differ in what they hold (a step, an evaluation, a warm start).
struct MetricLog {
  struct Line {
    int64_t step = 0;
    double tokens = 0;   // decoded (or learned from) so far
    double seconds = 0;  // of warm start, steps and evaluations so far
  };

  std::vector<Line> lines;
  // By name: (index of its line, value) in order. NaN and infinities as they were logged.
  std::map<std::string, std::vector<std::pair<size_t, double>>> metrics;
  int64_t unreadable_lines = 0;  // cut or damaged; left out

  std::vector<double> values(const std::string& name) const;  // empty where it was never logged
};

// A missing file is an empty log: the run has not come so far. Members of a line that are no
// numbers are left out.
MetricLog read_metric_log(const std::string& path);

}  // namespace treepo
