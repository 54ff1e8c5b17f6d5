#include "base/metric_names.h"

#include <array>
#include <utility>

namespace treepo {

namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 17> kNames = {{
    {"score/mean", "critic/score/mean"},
    {"reward/mean", "critic/rewards/mean"},
    {"response/tokens_mean", "response_length/mean"},
    {"response/tokens_max", "response_length/max"},
    {"grad_norm", "actor/grad_norm"},
    {"learning_rate", "actor/lr"},
    {"entropy", "actor/entropy"},
    {"kl", "actor/kl_loss"},
    {"clip_ratio/dual_mean", "actor/pg_clipfrac_lower"},
    {"mismatch/kl", "rollout_corr/kl"},
    {"mismatch/k3_kl", "rollout_corr/k3_kl"},
    {"time/step", "timing_s/step"},
    {"time/sample", "timing_s/gen"},
    {"time/verify", "timing_s/reward"},
    {"time/advantage", "timing_s/adv"},
    {"time/update", "timing_s/update_actor"},
    {"time/evaluate", "timing_s/testing"},
}};

}  // namespace

std::string_view common_metric_name(std::string_view name) {
  for (const auto& [ours, theirs] : kNames)
    if (ours == name) return theirs;
  return name;
}

}  // namespace treepo
