#pragma once

#include <string_view>

namespace treepo {

// The name that a metric of metrics.jsonl has in verl, where verl logs the same quantity; else its
// own. docs/report.md lists them beside TRL's.
std::string_view common_metric_name(std::string_view name);

}  // namespace treepo
