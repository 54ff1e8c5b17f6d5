#include "learn/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace treepo {
namespace {

// 1 to 0 while `progress` goes from 0 to 1 over the steps after the warm-up.
double decay(const std::string& schedule, double progress) {
  if (schedule == "constant") return 1.0;
  if (schedule == "cosine") return 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  if (schedule == "linear") return 1.0 - progress;
  throw Error(fmt::format("optimizer.schedule = \"{}\" is unknown", schedule),
              "use constant, cosine or linear");
}

}  // namespace

double scheduled_learning_rate(const OptimizerOptions& options, int64_t step, int64_t total_steps) {
  const int64_t after = step - options.warmup_steps;
  const int64_t remaining = std::max<int64_t>(total_steps - options.warmup_steps, 1);
  const double progress = static_cast<double>(after) / static_cast<double>(remaining);
  const double least = options.schedule == "constant" ? 0.0 : options.min_lr_ratio;
  const double share =
      least + (1.0 - least) * decay(options.schedule, std::clamp(progress, 0.0, 1.0));
  if (after >= 0) return options.learning_rate * share;
  return options.learning_rate * static_cast<double>(step + 1) /
         static_cast<double>(options.warmup_steps);
}

}  // namespace treepo
