#include "train/step_metrics.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/format.h"

namespace treepo {

namespace {

double ratio(double numerator, double denominator) {
  return denominator == 0 ? 0 : numerator / denominator;
}

// Sums over all trajectories that were sampled for a step.
struct TrajectorySums {
  double count = 0, score = 0, score_squared = 0, reward = 0, correct = 0;
  double penalized = 0, kl_penalty = 0;
  double tokens = 0, longest = 0, unique_tokens = 0, finished = 0, entropy = 0;
  double stops[8] = {};  // by StopReason

  void add(const ScoredTree& scored) {
    for (size_t i = 0; i < scored.verdicts.size(); ++i) {
      const int32_t leaf = scored.tree.leaves()[i];
      const double length = scored.tree.path_tokens(leaf);
      const StopReason stop = scored.tree.node(leaf).stop;
      count += 1;
      score += scored.verdicts[i].score;
      score_squared += scored.verdicts[i].score * scored.verdicts[i].score;
      reward += scored.rewards[i];
      if (!scored.kl_penalties.empty()) {
        penalized += 1;
        kl_penalty += scored.kl_penalties[i];
      }
      correct += scored.verdicts[i].correct ? 1 : 0;
      tokens += length;
      longest = std::max(longest, length);
      finished += is_finished(stop) ? 1 : 0;
      stops[static_cast<size_t>(stop)] += 1;
    }
    for (int32_t node = 0; node < scored.tree.num_nodes(); ++node)
      for (double value : scored.tree.entropies(node)) entropy += value;
    unique_tokens += static_cast<double>(scored.tree.unique_tokens());
  }
};

TrajectorySums sum_trajectories(const CollectedBatch& batch) {
  TrajectorySums sums;
  for (const ScoredTree& scored : batch.kept) sums.add(scored);
  for (const ScoredTree& scored : batch.dropped) sums.add(scored);
  return sums;
}

// Of the segments at one depth: tokens decoded / tokens of the trajectories that pass them.
void add_unique_share_by_depth(Metrics& metrics, const CollectedBatch& batch) {
  std::vector<double> unique, trajectory;
  const auto add = [](std::vector<double>& sums, size_t depth, double tokens) {
    if (sums.size() <= depth) sums.resize(depth + 1);
    sums[depth] += tokens;
  };
  for (const std::vector<ScoredTree>* trees : {&batch.kept, &batch.dropped}) {
    for (const ScoredTree& scored : *trees) {
      for (int32_t node = 1; node < scored.tree.num_nodes(); ++node)
        add(unique, static_cast<size_t>(scored.tree.node(node).depth),
            scored.tree.node(node).num_tokens);
      for (const int32_t leaf : scored.tree.leaves()) {
        const std::vector<int32_t> used = scored.tree.path_used_tokens(leaf);
        for (size_t depth = 1; depth < used.size(); ++depth) add(trajectory, depth, used[depth]);
      }
    }
  }
  for (size_t depth = 1; depth < std::min(unique.size(), trajectory.size()); ++depth)
    metrics.set(fmt::format("sampling/unique_share/depth_{}", depth),
                ratio(unique[depth], trajectory[depth]));
}

// The mean score of each part of the reward, where it has several, and how many responses could not
// be judged.
void add_verification(Metrics& metrics, const CollectedBatch& batch) {
  std::vector<double> parts(batch.part_names.size());
  int64_t count = 0, errors = 0, timeouts = 0, deaths = 0;
  for (const std::vector<ScoredTree>* trees : {&batch.kept, &batch.dropped}) {
    for (const ScoredTree& scored : *trees) {
      for (const Verdict& verdict : scored.verdicts) {
        ++count;
        errors += verdict.failure == VerifierFailure::error;
        timeouts += verdict.failure == VerifierFailure::timed_out;
        deaths += verdict.failure == VerifierFailure::died;
        for (size_t i = 0; i < parts.size(); ++i) parts[i] += verdict.parts.at(i);
      }
    }
  }
  if (parts.size() > 1)
    for (size_t i = 0; i < parts.size(); ++i)
      metrics.set("reward/" + batch.part_names[i], ratio(parts[i], static_cast<double>(count)));
  metrics.set("verify/errors", errors);
  metrics.set("verify/timeouts", timeouts);
  metrics.set("verify/deaths", deaths);
}

void add_sampling(Metrics& metrics, const CollectedBatch& batch, const RolloutStats& before,
                  const RolloutStats& after) {
  const TrajectorySums sums = sum_trajectories(batch);
  const double mean = ratio(sums.score, sums.count);
  metrics.set("success", ratio(sums.correct, sums.count));
  metrics.set("score/mean", mean);
  metrics.set("score/std",
              std::sqrt(std::max(0.0, ratio(sums.score_squared, sums.count) - mean * mean)));
  metrics.set("reward/mean", ratio(sums.reward, sums.count));
  if (sums.penalized > 0) metrics.set("reward/kl_penalty", sums.kl_penalty / sums.penalized);
  metrics.set("response/tokens_mean", ratio(sums.tokens, sums.count));
  metrics.set("response/tokens_max", sums.longest);
  metrics.set("response/finished", ratio(sums.finished, sums.count));
  for (StopReason reason : {StopReason::answer, StopReason::eos, StopReason::stop_string,
                            StopReason::length, StopReason::depth, StopReason::repetition}) {
    metrics.set(fmt::format("stop/{}", stop_reason_name(reason)),
                ratio(sums.stops[static_cast<size_t>(reason)], sums.count));
  }
  metrics.set("sampling/entropy", ratio(sums.entropy, sums.unique_tokens));
  metrics.set("sampling/queries_kept", static_cast<int64_t>(batch.kept.size()));
  metrics.set("sampling/queries_dropped", static_cast<int64_t>(batch.dropped.size()));
  metrics.set("sampling/rounds", batch.rounds);
  metrics.set("sampling/trajectories", static_cast<int64_t>(sums.count));
  metrics.set("sampling/unique_tokens", static_cast<int64_t>(sums.unique_tokens));
  metrics.set("sampling/trajectory_tokens", static_cast<int64_t>(sums.tokens));
  metrics.set("sampling/unique_share", ratio(sums.unique_tokens, sums.tokens));
  add_unique_share_by_depth(metrics, batch);
  metrics.set("sampling/prefilled_tokens", after.prefilled_tokens - before.prefilled_tokens);
  metrics.set("sampling/discarded_paths", after.discarded_paths - before.discarded_paths);
  metrics.set("sampling/suspensions", after.suspensions - before.suspensions);
  metrics.set("sampling/cut_mass",
              ratio(after.cut_mass - before.cut_mass,
                    static_cast<double>(after.drawn_tokens - before.drawn_tokens)));
}

void add_update(Metrics& metrics, const BatchUpdate& update, double learning_rate) {
  const ObjectiveStatistics& all = update.objective;
  const ObjectiveStatistics& same = update.same_weights;
  const auto tokens = static_cast<double>(all.tokens);
  const auto compared = static_cast<double>(same.compared);
  const auto steps = static_cast<double>(update.steps - update.skipped);
  if (steps > 0) {
    metrics.set("loss", all.loss / steps);
    metrics.set("grad_norm", update.gradient_norm_sum / steps);
    metrics.set("grad_norm_max", update.gradient_norm_max);
  }
  metrics.set("learning_rate", learning_rate);
  metrics.set("update/steps", update.steps);
  metrics.set("update/skipped", update.skipped);
  metrics.set("update/trajectory_tokens", update.trajectory_tokens);
  metrics.set("update/unique_tokens", update.unique_tokens);
  metrics.set("update/packed_tokens", update.packed_tokens);
  if (tokens > 0) {
    metrics.set("clip_ratio/low_mean", static_cast<double>(all.clipped_low) / tokens);
    metrics.set("clip_ratio/high_mean", static_cast<double>(all.clipped_high) / tokens);
    metrics.set("clip_ratio/dual_mean", static_cast<double>(all.dual_clipped) / tokens);
    metrics.set("ratio/mean", all.ratio_sum / tokens);
    metrics.set("ratio/max", all.ratio_max);
    metrics.set("update/approx_kl", all.policy_kl_sum / tokens);
    metrics.set("entropy", all.entropy_sum / tokens);
  }
  if (all.kl_tokens > 0) metrics.set("kl", all.kl_sum / static_cast<double>(all.kl_tokens));
  if (compared > 0) {
    metrics.set("mismatch/mean", same.mismatch_sum / compared);
    metrics.set("mismatch/max", same.mismatch_max);
    metrics.set("mismatch/kl", same.mismatch_k1_sum / compared);
    metrics.set("mismatch/k3_kl", same.mismatch_k3_sum / compared);
    metrics.set("mismatch/outside", static_cast<double>(same.mismatch_outside) / compared);
    metrics.set("mismatch/importance_mean", same.importance_sum / compared);
    metrics.set("mismatch/masked",
                static_cast<double>(all.masked) / static_cast<double>(all.compared));
  }
}

void add_times(Metrics& metrics, const CollectedBatch& batch, const BatchUpdate& update,
               const RolloutStats& before, const RolloutStats& after, const PhaseTimes& times,
               double seconds) {
  const TrajectorySums sums = sum_trajectories(batch);
  const double sample = times.seconds("sample"), learn = times.seconds("update");
  const double model = after.model_seconds - before.model_seconds;
  metrics.set("time/step", seconds);
  metrics.set("time/sample", sample);
  metrics.set("time/sample_model", model);
  metrics.set("time/verify", times.seconds("verify"));
  metrics.set("time/advantage", times.seconds("advantage"));
  metrics.set("time/update", learn);
  metrics.set("time/pack", update.pack_seconds);
  metrics.set("time/overhead", seconds - model - (learn - update.pack_seconds));
  metrics.set("speed/unique_tokens_per_s", ratio(sums.unique_tokens, sample));
  metrics.set("speed/trajectory_tokens_per_s", ratio(sums.tokens, sample));
  const int64_t prefilled = after.prefilled_tokens - before.prefilled_tokens;
  metrics.set("speed/processed_tokens_per_s",
              ratio(sums.unique_tokens + static_cast<double>(prefilled), sample));
  metrics.set("speed/trajectories_per_s", ratio(sums.count, sample));
  if (update.steps > 0)
    metrics.set("speed/update_packed_tokens_per_s",
                ratio(static_cast<double>(update.packed_tokens), learn));
}

}  // namespace

void BatchUpdate::add(const UpdateReport& report, bool weights_as_sampled) {
  ++steps;
  trajectory_tokens += report.trajectory_tokens;
  unique_tokens += report.unique_tokens;
  packed_tokens += report.packed_tokens;
  pack_seconds += report.pack_seconds;
  if (report.step.skipped) {
    ++skipped;
    return;
  }
  objective.add(report.objective);
  if (weights_as_sampled) same_weights.add(report.objective);
  gradient_norm_sum += report.step.gradient_norm;
  gradient_norm_max = std::max(gradient_norm_max, report.step.gradient_norm);
}

Metrics step_metrics(const CollectedBatch& batch, const BatchUpdate& update,
                     const RolloutStats& before, const RolloutStats& after, double learning_rate,
                     const PhaseTimes& times, double seconds) {
  Metrics metrics;
  add_sampling(metrics, batch, before, after);
  add_verification(metrics, batch);
  add_update(metrics, update, learning_rate);
  add_times(metrics, batch, update, before, after, times, seconds);
  return metrics;
}

std::string step_line(int64_t step, int64_t max_steps, const Metrics& metrics) {
  const auto number = [&](std::string_view name) { return metrics.number(name); };
  const auto three_digits = [&](std::string_view name) {
    return std::isnan(number(name)) ? std::string("–") : fmt::format("{:.3f}", number(name));
  };
  const double kept = number("sampling/queries_kept");
  return fmt::format(
      "step {}/{}  success {:.1f} %  reward {:.3f}  length {:.0f}  entropy {}  grad norm {}  "
      "queries {:.0f}/{:.0f}  {} unique tok/s  {}",
      step, max_steps, 100 * number("success"), number("reward/mean"),
      number("response/tokens_mean"), three_digits("entropy"), three_digits("grad_norm"), kept,
      kept + number("sampling/queries_dropped"),
      with_thousands(std::llround(number("speed/unique_tokens_per_s"))),
      format_duration(number("time/step")));
}

double success_rate(const CollectedBatch& batch) {
  const TrajectorySums sums = sum_trajectories(batch);
  return ratio(sums.correct, sums.count);
}

}  // namespace treepo
