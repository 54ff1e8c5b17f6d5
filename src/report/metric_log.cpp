#include "report/metric_log.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "base/files.h"
#include "base/json.h"
#include "report/log_lines.h"

namespace treepo {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::optional<double> number_of(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (value == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (value == "Infinity") return kInfinity;
  if (value == "-Infinity") return -kInfinity;
  return std::nullopt;
}

// Running sums that place a line on the axes of tokens and seconds.
class Clock {
 public:
  MetricLog::Line place(const Json& line) {
    const auto finite = [&](const char* name) {
      const auto found = line.find(name);
      return found != line.end() && found->is_number() ? found->get<double>() : 0.0;
    };
    warm_start_ = std::max(warm_start_, finite("time/warm_start"));  // counts from its beginning
    seconds_ += finite("time/step") + finite("time/evaluate");
    tokens_ += finite("sampling/unique_tokens") + finite("update/response_tokens");
    return {.step = line.at("step").get<int64_t>(),
            .tokens = tokens_,
            .seconds = seconds_ + warm_start_};
  }

 private:
  double tokens_ = 0, seconds_ = 0, warm_start_ = 0;
};

}  // namespace

std::vector<double> MetricLog::values(const std::string& name) const {
  std::vector<double> all;
  const auto found = metrics.find(name);
  if (found == metrics.end()) return all;
  for (const auto& [line, value] : found->second) all.push_back(value);
  return all;
}

MetricLog read_metric_log(const std::string& path) {
  MetricLog log;
  if (!file_system().exists(path)) return log;
  Clock clock;
  for_each_line(path, [&](const LogLine& text) {
    if (text.text.find_first_not_of(" \r\t") == std::string_view::npos) return;
    const Json line = Json::parse(text.text, nullptr, false);
    if (!line.is_object() || !line.contains("step") || !line["step"].is_number_integer()) {
      log.unreadable_lines += text.complete ? 1 : 0;  // an incomplete one is still being written
      return;
    }
    log.lines.push_back(clock.place(line));
    for (const auto& [name, value] : line.items()) {
      const std::optional<double> number = number_of(value);
      if (number && name != "step") log.metrics[name].emplace_back(log.lines.size() - 1, *number);
    }
  });
  return log;
}

}  // namespace treepo
