#include "report/curves_json.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "report/short_number.h"

namespace treepo {

namespace {

using Points = std::vector<std::pair<size_t, double>>;

std::vector<size_t> lines_of(const Points& points) {
  std::vector<size_t> lines;
  for (const auto& [line, value] : points) lines.push_back(line);
  return lines;
}

// Thinned, a table has three numbers for each point, and half as many points.
size_t lines_each(size_t lines, size_t max_points) {
  if (lines <= max_points) return 1;
  const size_t points = std::max<size_t>(max_points / 2, 1);
  return (lines + points - 1) / points;
}

struct Bucket {
  double sum = 0, low = HUGE_VAL, high = -HUGE_VAL;
  int64_t count = 0;  // of finite values

  void add(double value) {
    if (!std::isfinite(value)) return;
    sum += value;
    low = std::min(low, value);
    high = std::max(high, value);
    ++count;
  }
};

// One table under construction: all its metrics lie on `lines`.
class Table {
 public:
  Table(const MetricLog& log, std::vector<size_t> lines, size_t max_points)
      : lines_(std::move(lines)), each_(lines_each(lines_.size(), max_points)) {
    for (const char* axis : {"step", "tokens", "seconds"}) json_[axis] = OrderedJson::array();
    for (size_t begin = 0; begin < lines_.size(); begin += each_) {
      const MetricLog::Line& last = log.lines[lines_[std::min(begin + each_, lines_.size()) - 1]];
      json_["step"].push_back(last.step);
      json_["tokens"].push_back(std::llround(last.tokens));
      json_["seconds"].push_back(short_number(last.seconds));
    }
    json_["columns"] = OrderedJson::object();
    if (each_ > 1) json_["thinned"] = each_;
  }

  void add(const std::string& name, const Points& points) {
    OrderedJson means = OrderedJson::array(), lows = means, highs = means;
    for (size_t begin = 0; begin < points.size(); begin += each_) {
      Bucket bucket;
      for (size_t i = begin; i < std::min(begin + each_, points.size()); ++i)
        bucket.add(points[i].second);
      const bool known = bucket.count > 0;
      means.push_back(known ? short_number(bucket.sum / static_cast<double>(bucket.count))
                            : OrderedJson());
      lows.push_back(known ? short_number(bucket.low) : OrderedJson());
      highs.push_back(known ? short_number(bucket.high) : OrderedJson());
    }
    json_["columns"][name] = std::move(means);
    if (each_ == 1) return;
    json_["low"][name] = std::move(lows);
    json_["high"][name] = std::move(highs);
  }

  const std::vector<size_t>& lines() const { return lines_; }
  OrderedJson take() { return std::move(json_); }

 private:
  std::vector<size_t> lines_;
  size_t each_;
  OrderedJson json_;
};

}  // namespace

OrderedJson curves_json(const MetricLog& log, size_t max_points) {
  std::vector<Table> tables;
  for (const auto& [name, points] : log.metrics) {
    const std::vector<size_t> lines = lines_of(points);
    auto table = std::ranges::find_if(tables, [&](const Table& t) { return t.lines() == lines; });
    if (table == tables.end()) {
      tables.emplace_back(log, lines, max_points);
      table = std::prev(tables.end());
    }
    table->add(name, points);
  }
  OrderedJson all = OrderedJson::array();
  for (Table& table : tables) all.push_back(table.take());
  return all;
}

}  // namespace treepo
