#pragma once

#include <cstdint>
#include <future>
#include <optional>
#include <string>

#include "base/metrics.h"
#include "base/python_workers.h"
#include "config/options.h"

namespace treepo {

// Sends metrics to Weights & Biases through a Python worker, whose `wandb` package keeps the login
// and the settings (WANDB_MODE=offline among them). Its id is kept in the run's folder, so that a
// run that resumes goes on in the same place.
class WandbLog : public MetricSink {
 public:
  // Starts the run in options.train.wandb_project. Throws Error where the package is missing or
  // refuses.
  explicit WandbLog(const RunOptions& options);
  ~WandbLog() override;  // waits until what was sent has arrived

  // Numbers that are not finite are left out. A failure later is a warning, once: training goes on.
  void write(int64_t step, const Metrics& metrics) override;

 private:
  void settle();  // waits for the answer to what was sent last

  PythonWorkers worker_;
  std::optional<std::future<PythonReply>> sent_;
  bool failed_ = false;
};

}  // namespace treepo
