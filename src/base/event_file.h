#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/metrics.h"

namespace treepo {

// An event file as TensorBoard reads it: TFRecord frames (length and content, each with a masked
// CRC-32C) that hold tensorflow.Event messages.
class EventFile : public MetricSink {
 public:
  // Opens FOLDER/events.out.tfevents.run. What it holds of steps after `last_step`, and a record
  // that a kill has left half written, is taken out: a run that goes on from a checkpoint writes
  // those steps again. last_step -1: the file begins anew.
  EventFile(const std::string& folder, int64_t last_step);

  // Scalars, under the names of base/metric_names.h.
  void write(int64_t step, const Metrics& metrics) override;
  // Nothing where no value is finite.
  void write_histogram(int64_t step, std::string_view name, std::span<const double> values);
  void write_text(int64_t step, std::string_view name, std::string_view markdown);

  static constexpr std::string_view kName = "events.out.tfevents.run";

 private:
  void append_event(int64_t step, const std::string& summary);

  AppendFile file_;
};

}  // namespace treepo
