#pragma once

#include <cstdint>
#include <string>

#include "base/metrics.h"

namespace treepo {

// RUN/config.toml (everything resolved), metrics.jsonl, samples.jsonl, checkpoints/, tokenizer/
// (its files, for checkpoints), reference/ (the reference model, where an objective needs one).
struct RunPaths {
  explicit RunPaths(const std::string& run_dir);

  std::string root, config, metrics, samples, checkpoints, tokenizer, reference;
};

// The logs of a run while it goes on.
struct RunLogs {
  explicit RunLogs(const RunPaths& paths) : metrics(paths.metrics), samples(paths.samples) {}

  JsonLinesMetrics metrics;
  JsonLinesFile samples;
};

enum class RunStart { fresh, resume };

// Makes the folder of a new run. Throws Error where one is there already, or it can't be written.
void create_run_directory(const RunPaths& paths);

}  // namespace treepo
