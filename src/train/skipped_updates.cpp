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

void throw_too_many_skipped(const TooManySkipped& end) {
  const bool narrow = end.dtype != "float32" && end.dtype != "float64";
  throw Error(
      fmt::format("{}: {} updates in a row had a gradient that is not finite, as many as "
                  "train.max_skipped_updates allows; the weights before them are in {}",
                  end.where, end.in_a_row, end.weights),
      fmt::format("start a run from there (model.path) with {}{}, or without the {} that the "
                  "warnings name; --resume {}",
                  end.remedies, narrow ? ", model.dtype = \"float32\"" : "", end.items,
                  end.with_resume));
}

}  // namespace treepo
