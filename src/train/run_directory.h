#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/event_file.h"
#include "base/metrics.h"
#include "config/options.h"
#include "train/wandb_log.h"

namespace treepo {

// RUN/config.toml (everything resolved), run.json (machine, versions, command lines),
// metrics.jsonl, samples.jsonl, checkpoints/, tokenizer/ (its files, for checkpoints), reference/
// (the reference model, where an objective needs one; reference-000400/ after a reset),
// tensorboard/ (event files, with train.tensorboard), wandb_id.txt (with train.wandb_project).
struct RunPaths {
  explicit RunPaths(const std::string& run_dir);

  std::string root, config, metrics, samples, checkpoints, tokenizer, reference, record,
      tensorboard;
};

// The logs of a run while it goes on.
struct RunLogs {
  explicit RunLogs(const RunPaths& paths) : metrics(paths.metrics), samples(paths.samples) {}

  // Opens those besides the run's own files that the options ask for. `step`: that of the
  // checkpoint which the run goes on from, or -1.
  void open_sinks(const RunPaths& paths, const RunOptions& options, int64_t step);
  void write(int64_t step, const Metrics& line);  // to all that take metrics

  JsonLinesMetrics metrics;
  JsonLinesFile samples;
  std::optional<EventFile> events{};  // with train.tensorboard
  std::optional<WandbLog> wandb{};    // with train.wandb_project
  MetricSink* observer = nullptr;     // someone who watches; null: nobody
};

enum class RunStart { fresh, resume };

// The folder of a run that begins or goes on. Throws Error where a fresh one would lie in the
// folder of another, which `command` ("train", "sft") may go on with.
RunPaths run_paths(const std::string& run_dir, RunStart start, std::string_view command);

}  // namespace treepo
