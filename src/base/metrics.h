#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/files.h"
#include "base/json.h"

namespace treepo {

// Named numbers of one step, in the order in which they were set. Names as "reward/mean".
class Metrics {
 public:
  using Value = std::variant<int64_t, double>;

  void set(std::string_view name, std::floating_point auto value) {
    assign(name, static_cast<double>(value));
  }
  void set(std::string_view name, std::integral auto value) {
    assign(name, static_cast<int64_t>(value));
  }

  double number(std::string_view name) const;  // NaN where there is none of that name
  const std::vector<std::pair<std::string, Value>>& values() const { return values_; }

 private:
  void assign(std::string_view name, Value value);  // a name set before keeps its place

  std::vector<std::pair<std::string, Value>> values_;
};

class MetricSink {
 public:
  virtual ~MetricSink() = default;
  virtual void write(int64_t step, const Metrics& metrics) = 0;
};

// A log of one JSON object for each line, readable while it grows. A last line that a kill has left
// half written is cut off when the file is opened.
class JsonLinesFile {
 public:
  explicit JsonLinesFile(const std::string& path);  // opens or creates

  void append(const OrderedJson& value);  // reaches the system before it returns
  void sync() { file_.sync(); }           // to the disk: before a checkpoint that stores size()
  uint64_t size() const { return file_.size(); }  // bytes

  // Back to the size that a checkpoint has stored. A file that was moved away (empty when opened)
  // starts anew; one that is shorter than `size` was changed since: Error.
  void cut_to_size(uint64_t size);

 private:
  AppendFile file_;
  bool begins_anew_;
};

// {"step":3,"reward/mean":0.25,"kl":"NaN"}: numbers that JSON lacks are the strings "NaN",
// "Infinity" and "-Infinity".
OrderedJson metrics_line(int64_t step, const Metrics& metrics);

// metrics_line after metrics_line.
class JsonLinesMetrics : public MetricSink {
 public:
  explicit JsonLinesMetrics(const std::string& path) : file_(path) {}

  void write(int64_t step, const Metrics& metrics) override;
  JsonLinesFile& file() { return file_; }

 private:
  JsonLinesFile file_;
};

}  // namespace treepo
