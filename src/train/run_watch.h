#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/metrics.h"

namespace treepo {

// Someone who watches a run while it goes on. Every member may stay empty.
struct RunWatch {
  std::function<bool()> stop_requested{};  // asked after each step; true: checkpoint and end
  MetricSink* metrics = nullptr;           // gets every line of metrics
  // Adds files to a checkpoint (a model card) before it is complete: its folder and step.
  std::function<void(const std::string& folder, int64_t step)> add_to_checkpoint{};
};

}  // namespace treepo
