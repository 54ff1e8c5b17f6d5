#include "train/skipped_updates.h"

#include "base/error.h"
#include "base/log.h"

namespace treepo {

void SkippedUpdates::count(bool skipped) {
  total += skipped ? 1 : 0;
  in_a_row = skipped ? in_a_row + 1 : 0;
}

void warn_of_skipped_update(std::string_view where, double gradient_norm,
                            std::string_view learned_from) {
  log_warning("{}: an update was skipped: its gradient's norm is {} ({})", where, gradient_norm,
              learned_from);
}

void throw_too_many_skipped(int64_t in_a_row, const std::string& checkpoint,
                            std::string_view remedies, const std::string& dtype,
                            std::string_view items) {
  throw Error(
      fmt::format("{} updates in a row had a gradient that is not finite, as many as "
                  "train.max_skipped_updates allows; the weights before them are in {}",
                  in_a_row, checkpoint),
      fmt::format("start a run from there (model.path) with {}{}, or without the {} that the "
                  "warnings name; --resume goes on with the next {}",
                  remedies,
                  dtype == "float32" || dtype == "float64" ? "" : ", model.dtype = \"float32\"",
                  items, items));
}

}  // namespace treepo
