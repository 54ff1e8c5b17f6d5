#include "base/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace treepo {

namespace {

constexpr uint64_t kChunkBytes = uint64_t{1} << 16;

// Bytes up to and with the last newline.
uint64_t size_of_whole_lines(const std::string& path) {
  const auto file = file_system().open_for_reading(path);
  std::string chunk;
  for (uint64_t end = file->size(); end > 0;) {
    const uint64_t begin = end - std::min(end, kChunkBytes);
    chunk.resize(end - begin);
    file->read_at(begin, chunk);
    const size_t newline = chunk.rfind('\n');
    if (newline != std::string::npos) return begin + newline + 1;
    end = begin;
  }
  return 0;
}

OrderedJson to_json(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

OrderedJson to_json(int64_t value) {
  return value;
}

}  // namespace

void Metrics::assign(std::string_view name, Value value) {
  const auto found = std::find_if(values_.begin(), values_.end(),
                                  [&](const auto& item) { return item.first == name; });
  if (found != values_.end()) {
    found->second = value;
  } else {
    values_.emplace_back(name, value);
  }
}

JsonLinesFile::JsonLinesFile(const std::string& path)
    : file_(path), begins_anew_(file_.size() == 0) {
  const uint64_t whole = size_of_whole_lines(path);
  if (whole < file_.size()) file_.truncate(whole);
}

void JsonLinesFile::append(const OrderedJson& value) {
  file_.append(dump_json(value) + "\n");
}

void JsonLinesFile::cut_to_size(uint64_t size) {
  if (begins_anew_) return;
  if (file_.size() < size) {
    throw Error(fmt::format("{} has {} bytes, but the checkpoint was written when it had {}",
                            file_.path(), file_.size(), size),
                "put the original file back, or move this one away to start a new one");
  }
  file_.truncate(size);
}

double Metrics::number(std::string_view name) const {
  for (const auto& [key, value] : values_)
    if (key == name) return std::visit([](auto n) { return static_cast<double>(n); }, value);
  return std::numeric_limits<double>::quiet_NaN();
}

OrderedJson metrics_line(int64_t step, const Metrics& metrics) {
  OrderedJson line;
  line["step"] = step;
  for (const auto& [name, value] : metrics.values())
    line[name] = std::visit([](auto number) { return to_json(number); }, value);
  return line;
}

void JsonLinesMetrics::write(int64_t step, const Metrics& metrics) {
  file_.append(metrics_line(step, metrics));
}

}  // namespace treepo
