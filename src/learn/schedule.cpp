#include "learn/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace treepo {
namespace {

// 1 to 0 while `progress` goes from 0 to 1 over the steps after the warm-up.
double decay(const std::string& key, const std::string& schedule, double progress) {
  if (schedule == "constant") return 1.0;
  if (schedule == "cosine") return 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  if (schedule == "linear") return 1.0 - progress;
  throw Error(fmt::format("{} = \"{}\" is unknown", key, schedule),
              "`treepo options` lists what there is");
}

}  // namespace

double scheduled_learning_rate(const OptimizerOptions& options, int64_t step, int64_t total_steps) {
  const int64_t end = options.decay_steps > 0 ? options.decay_steps : total_steps;
  const int64_t after = step - options.warmup_steps;
  const int64_t remaining = std::max<int64_t>(end - options.warmup_steps, 1);
  const double progress = static_cast<double>(after) / static_cast<double>(remaining);
  const double least = options.schedule == "constant" ? 0.0 : options.min_lr_ratio;
  const double share = least + (1.0 - least) * decay("optimizer.schedule", options.schedule,
                                                     std::clamp(progress, 0.0, 1.0));
  if (after >= 0) return options.learning_rate * share;
  return options.learning_rate * static_cast<double>(step + 1) /
         static_cast<double>(options.warmup_steps);
}

ObjectiveOptions scheduled_objective(ObjectiveOptions options, int64_t step, int64_t total_steps) {
  if (options.beta_schedule == "constant") return options;
  const int64_t steps = options.beta_steps > 0 ? options.beta_steps : total_steps;
  const double last = static_cast<double>(std::max<int64_t>(steps - 1, 1));
  const double progress = std::clamp(static_cast<double>(step) / last, 0.0, 1.0);
  const double share =
      options.beta_schedule == "exponential"
          ? std::pow(options.beta_end, progress)
          : options.beta_end + (1.0 - options.beta_end) * decay("objective.beta_schedule",
                                                                options.beta_schedule, progress);
  options.kl_beta *= share;
  options.entropy_beta *= share;
  return options;
}

}  // namespace treepo
