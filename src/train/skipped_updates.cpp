#include "train/skipped_updates.h"

#include <string>

#include "base/error.h"
#include "base/log.h"

namespace treepo {

void warn_of_skipped_update(int64_t step, double gradient_norm, std::span<const ScoredTree> trees) {
  std::string ids;
  for (const ScoredTree& scored : trees) ids += (ids.empty() ? "" : ", ") + scored.query.problem.id;
  log_warning("step {}: an update was skipped: its gradient's norm is {} (queries {})", step,
              gradient_norm, ids);
}

void throw_too_many_skipped(int64_t in_a_row, const std::string& checkpoint,
                            const std::string& dtype) {
  throw Error(
      fmt::format("{} updates in a row had a gradient that is not finite, as many as "
                  "train.max_skipped_updates allows; the weights before them are in {}",
                  in_a_row, checkpoint),
      fmt::format("start a run from there (model.path) with a lower optimizer.learning_rate, a "
                  "smaller objective.clip_high{}, or without the queries that the warnings name; "
                  "--resume goes on with the next queries",
                  dtype == "float32" || dtype == "float64" ? "" : ", model.dtype = \"float32\""));
}

}  // namespace treepo
