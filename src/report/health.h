#pragma once

#include <string>
#include <vector>

#include "report/metric_log.h"

namespace treepo {

enum class HealthLevel {
  good,
  unknown,  // the run logs nothing that would tell, or too little yet
  watch,
  problem,
};

struct HealthFinding {
  std::string name;    // "Entropy"
  HealthLevel level;   // how it stands now
  std::string found;   // a sentence with numbers
  std::string limit;   // what was checked
  std::string advice;  // what to try; empty where nothing is wrong
};

// What usually goes wrong in reinforcement learning of language models, held against limits. Means
// at the beginning and at the end are over a tenth of the steps, 1 to 50 of them.
std::vector<HealthFinding> check_health(const MetricLog& log);

std::string_view health_level_name(HealthLevel level);

}  // namespace treepo
