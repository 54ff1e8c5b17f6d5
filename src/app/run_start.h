#pragma once

#include <functional>
#include <string>
#include <utility>

#include "app/run_flags.h"
#include "base/metrics.h"
#include "train/run_directory.h"  // RunStart
#include "train/run_watch.h"

namespace treepo {

// Flags of commands that make or go on with a run: CONFIG or --resume DIR, and RunFlags.
struct RunStartFlags {
  RunFlags run;
  std::string config, resume;
  bool json = false;  // metrics on standard output

  void add_to(CLI::App& command);
  void check_given() const;  // throws CLI::RequiredError where there is neither

  // The options, held against `validate` and, for a run that goes on, against its saved ones.
  std::pair<RunOptions, RunStart> resolve(
      const std::function<void(const RunOptions&)>& validate) const;
};

// How these commands watch their run: Ctrl-C ends it, checkpoints get a model card, `metrics`,
// which may be null, gets its lines.
RunWatch watch_run(const RunOptions& options, MetricSink* metrics);

// For --json: lines as metrics.jsonl has them.
class StandardOutputMetrics : public MetricSink {
 public:
  void write(int64_t step, const Metrics& metrics) override;
};

// From now on the first Ctrl-C (or SIGTERM) makes interrupted() true, the second ends the process.
void catch_interrupts();
bool interrupted();

}  // namespace treepo
