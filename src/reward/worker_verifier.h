#pragma once

#include <memory>
#include <string>

#include "base/python_workers.h"
#include "reward/verifier.h"

namespace treepo {

// The Python workers of one run, started when the first part needs them.
using SharedWorkers = std::shared_ptr<PythonWorkers>;

// What became of the requests so far: the first failures are logged, for the others metrics count;
// a verifier that has only ever failed ends the run.
class FailureLog {
 public:
  explicit FailureLog(std::string name) : name_(std::move(name)) {}

  void add_success() { ++successes_; }
  // Logs the failure of a response to this problem, for the first few. Throws Error after the last
  // of kMostFailures errors without one success.
  void add_failure(const Problem& problem, const PythonReply& reply);

 private:
  static constexpr int64_t kShown = 3, kMostFailures = 100;

  std::string name_;  // "rewards.py:score"
  int64_t successes_ = 0, failures_ = 0, errors_ = 0;
};

// The verdict on a response whose request failed.
Verdict failed_verdict(const PythonReply& reply);

}  // namespace treepo
