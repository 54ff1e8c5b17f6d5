#include "reward/worker_verifier.h"

#include "base/error.h"
#include "base/log.h"

namespace treepo {

namespace {

VerifierFailure failure_of(PythonReply::Status status) {
  switch (status) {
    case PythonReply::Status::ok:
      return VerifierFailure::none;
    case PythonReply::Status::error:
      return VerifierFailure::error;
    case PythonReply::Status::timed_out:
      return VerifierFailure::timed_out;
    case PythonReply::Status::died:
      return VerifierFailure::died;
  }
  return VerifierFailure::error;
}

}  // namespace

void FailureLog::add_failure(const Problem& problem, const PythonReply& reply) {
  const std::string row = problem.where.empty() ? "problem \"" + problem.id + "\"" : problem.where;
  const std::string what = fmt::format("{} on {}: {}", name_, row, reply.message);
  errors_ += reply.status == PythonReply::Status::error;
  if (successes_ == 0 && errors_ >= kMostFailures)
    throw Error(
        fmt::format("{} ({} errors and no success so far)", what, errors_),
        reply.hint.empty() ? "a verifier that never returns a reward teaches nothing" : reply.hint);
  if (++failures_ > kShown) return;
  log_warning("{}", what);
  if (failures_ == kShown) log_warning("further failures of {} are only counted (verify/…)", name_);
}

Verdict failed_verdict(const PythonReply& reply) {
  return {.reason = reply.message, .failure = failure_of(reply.status)};
}

}  // namespace treepo
