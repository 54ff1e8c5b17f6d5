#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/event_file.h"
#include "base/metrics.h"

namespace treepo {

// RUN/config.toml (everything resolved), run.json (machine, versions, command lines),
// metrics.jsonl, samples.jsonl, checkpoints/, tokenizer/ (its files, for checkpoints), reference/
// (the reference model, where an objective needs one), tensorboard/ (event files, with
// train.tensorboard).
struct RunPaths {
  explicit RunPaths(const std::string& run_dir);

  std::string root, config, metrics, samples, checkpoints, tokenizer, reference, record,
      tensorboard;
};

// The logs of a run while it goes on.
struct RunLogs {
  explicit RunLogs(const RunPaths& paths) : metrics(paths.metrics), samples(paths.samples) {}

  void write(int64_t step, const Metrics& line);  // to all that take metrics

  JsonLinesMetrics metrics;
  JsonLinesFile samples;
  std::optional<EventFile> events{};  // with train.tensorboard
  MetricSink* observer = nullptr;     // someone who watches; null: nobody
};

enum class RunStart { fresh, resume };

// Makes the folder of a new run. Throws Error where one is there already, or it can't be written.
void create_run_directory(const RunPaths& paths);

}  // namespace treepo
