#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "report/metric_log.h"

namespace treepo {

struct ConfigValue {
  std::string key, value;   // "rollout.width", as TOML writes the value
  bool is_default = false;  // what the program takes where nothing is said
};

// What a run's folder tells without its samples and checkpoints.
struct RunFiles {
  std::string name;                 // of the folder
  std::string folder;               // as it was given
  std::vector<ConfigValue> config;  // in the file's order; empty where there is no config.toml
  Json record;                      // run.json; null where there is none
  MetricLog metrics;
};

// Throws Error where the folder holds neither config.toml nor metrics.jsonl.
RunFiles read_run_files(const std::string& folder);

// Equal for runs that differ in train.seed and train.run_dir only; empty without a configuration.
std::string configuration_but_seed(const RunFiles& run);

}  // namespace treepo
