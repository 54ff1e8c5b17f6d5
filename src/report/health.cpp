#include "report/health.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "base/format.h"
#include "report/short_number.h"

namespace treepo {

namespace {

using enum HealthLevel;

constexpr size_t kFewestSteps = 5;
constexpr size_t kFewestRewards = 50;  // a step's mean reward varies much with its queries

std::vector<double> finite_values(const MetricLog& log, const std::string& name) {
  std::vector<double> values = log.values(name);
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  return values;
}

double mean(std::span<const double> values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// The first and last values of a metric, averaged over a tenth of the steps.
struct Course {
  explicit Course(std::vector<double> all) : values(std::move(all)) {
    const size_t window = std::clamp<size_t>(values.size() / 10, 1, 50);
    if (values.empty()) return;
    first = mean(std::span(values).first(window));
    last = mean(std::span(values).last(window));
    best = first;
    for (size_t i = 0; i + window <= values.size(); ++i)
      best = std::max(best, mean(std::span(values).subspan(i, window)));
  }
  bool tells() const { return values.size() >= kFewestSteps; }

  std::vector<double> values;
  double first = 0, last = 0, best = 0;
};

HealthFinding unknown_finding(const std::string& name, const std::string& limit, size_t steps,
                              const std::string& metric) {
  return {name, unknown,
          steps == 0 ? fmt::format("This run logs no {}.", metric)
                     : fmt::format("{} steps are too few to tell.", steps),
          limit, ""};
}

HealthFinding equal_rewards(const MetricLog& log) {
  const std::string limit = "watch: above 80 % of the queries at the end; problem: all of them";
  const auto kept = finite_values(log, "sampling/queries_kept");
  const auto dropped = finite_values(log, "sampling/queries_dropped");
  std::vector<double> shares;
  for (size_t i = 0; i < std::min(kept.size(), dropped.size()); ++i)
    if (kept[i] + dropped[i] > 0) shares.push_back(dropped[i] / (kept[i] + dropped[i]));
  const Course course(shares);
  if (!course.tells())
    return unknown_finding("Equal rewards", limit, shares.size(), "sampling/queries_dropped");
  const HealthLevel level = course.last >= 0.999 ? problem : course.last > 0.8 ? watch : good;
  return {
      "Equal rewards", level,
      fmt::format("{:.0f} % of the queries get answers that all score the same and teach nothing "
                  "({:.0f} % at first).",
                  100 * course.last, 100 * course.first),
      limit,
      level == good ? ""
                    : "Take problems of medium difficulty (neither always nor never solved), a "
                      "larger rollout.width, or a longer warm start; look at the trees: a "
                      "verifier that finds no answer scores every path 0."};
}

HealthFinding entropy(const MetricLog& log) {
  const std::string limit = "watch: below a third of the first; problem: below a tenth";
  const Course course(finite_values(log, "entropy"));
  if (!course.tells()) return unknown_finding("Entropy", limit, course.values.size(), "entropy");
  const double share = course.first > 0 ? course.last / course.first : 1;
  const HealthLevel level = share < 0.1 ? problem : share < 1.0 / 3 ? watch : good;
  return {"Entropy", level,
          fmt::format("Entropy of the next token: {:.3g} nats at first, {:.3g} now.", course.first,
                      course.last),
          limit,
          level == good ? ""
                        : "Raise objective.clip_high or objective.entropy_beta, lower "
                          "optimizer.learning_rate, or sample with a higher temperature: a policy "
                          "that has become certain finds nothing new."};
}

HealthFinding length(const MetricLog& log) {
  const std::string limit =
      "watch: twice the first length, or more than 20 % cut off; problem: both";
  const Course tokens(finite_values(log, "response/tokens_mean"));
  if (!tokens.tells())
    return unknown_finding("Length", limit, tokens.values.size(), "response/tokens_mean");
  const double cut = Course(finite_values(log, "stop/length")).last +
                     Course(finite_values(log, "stop/depth")).last;
  const bool grew = tokens.last > 2 * tokens.first, too_long = cut > 0.2;
  const HealthLevel level = grew && too_long ? problem : grew || too_long ? watch : good;
  return {"Length", level,
          fmt::format("Responses have {:.0f} tokens ({:.0f} at first); {:.0f} % are cut off before "
                      "they end.",
                      tokens.last, tokens.first, 100 * cut),
          limit,
          level == good ? ""
                        : "Give responses more room (rollout.depth, rollout.segment_tokens) or "
                          "punish the last tokens (reward.overlong_tokens); stop.repetition ends "
                          "those that only repeat themselves."};
}

HealthFinding mismatch(const MetricLog& log) {
  const std::string limit =
      "watch: a mean difference above 0.01, or above 0.001 and ten times the first; problem: above "
      "0.05";
  const Course course(finite_values(log, "mismatch/mean"));
  if (!course.tells())
    return unknown_finding("Mismatch", limit, course.values.size(), "mismatch/mean");
  const bool grows = course.last > 1e-3 && course.last > 10 * course.first;
  const HealthLevel level = course.last > 0.05            ? problem
                            : course.last > 0.01 || grows ? watch
                                                          : good;
  return {"Mismatch", level,
          fmt::format("Log-probs of sampler and trainer for the same weights differ by {:.2g} on "
                      "average ({:.2g} at first).",
                      course.last, course.first),
          limit,
          level == good
              ? ""
              : "Try model.dtype = \"float32\", update.recompute_old_logprobs = true or "
                "objective.importance_cap = 2; treepo selfcheck and --device checked find "
                "an operation that is wrong."};
}

HealthFinding skipped(const MetricLog& log) {
  const std::string limit = "watch: any; problem: in one of the last ten steps";
  const auto values = finite_values(log, "update/skipped");
  if (values.empty()) return unknown_finding("Skipped updates", limit, 0, "update/skipped");
  const double all = std::accumulate(values.begin(), values.end(), 0.0);
  const auto recent = std::span(values).last(std::min<size_t>(10, values.size()));
  const bool now = std::ranges::any_of(recent, [](double one) { return one > 0; });
  const HealthLevel level = now ? problem : all > 0 ? watch : good;
  return {"Skipped updates", level,
          fmt::format("{:.0f} updates were skipped because their gradient was not finite.", all),
          limit,
          level == good ? ""
                        : "Lower optimizer.learning_rate, take model.dtype = \"bfloat16\" rather "
                          "than float16; the log names the queries or examples."};
}

HealthFinding gradient(const MetricLog& log) {
  const std::string limit =
      "watch: a step above ten times the median of the 50 before it; problem: more than 5 % of the "
      "steps";
  const auto values = finite_values(log, "grad_norm");
  if (values.size() < kFewestSteps)
    return unknown_finding("Gradient", limit, values.size(), "grad_norm");
  size_t spikes = 0;
  double worst = 0;
  for (size_t i = kFewestSteps; i < values.size(); ++i) {
    const size_t begin = i - std::min<size_t>(i, 50);
    std::vector<double> before(values.begin() + static_cast<std::ptrdiff_t>(begin),
                               values.begin() + static_cast<std::ptrdiff_t>(i));
    std::ranges::nth_element(before,
                             before.begin() + static_cast<std::ptrdiff_t>(before.size() / 2));
    const double median = before[before.size() / 2];
    if (median <= 0 || values[i] <= 10 * median) continue;
    ++spikes;
    worst = std::max(worst, values[i] / median);
  }
  const HealthLevel level = 20 * spikes > values.size() ? problem : spikes > 0 ? watch : good;
  return {"Gradient", level,
          spikes == 0 ? "The gradient's norm has no spikes."
                      : fmt::format("{} of {} steps have a spike; the worst is {:.0f} times the "
                                    "median before it.",
                                    spikes, values.size(), worst),
          limit,
          level == good ? ""
                        : "Lower optimizer.learning_rate or optimizer.max_grad_norm, lengthen "
                          "optimizer.warmup_steps; look at the trees of those steps."};
}

HealthFinding clipping(const MetricLog& log) {
  const std::string limit = "watch: more than 10 % of the tokens; problem: more than 30 %";
  const Course low(finite_values(log, "clip_ratio/low_mean"));
  const Course high(finite_values(log, "clip_ratio/high_mean"));
  if (!low.tells())
    return unknown_finding("Clipping", limit, low.values.size(), "clip_ratio/low_mean");
  const double share = low.last + high.last;
  const HealthLevel level = share > 0.3 ? problem : share > 0.1 ? watch : good;
  return {"Clipping", level, fmt::format("{:.1f} % of the tokens are clipped.", 100 * share), limit,
          level == good ? ""
                        : "The policy moves far within one batch: lower optimizer.learning_rate or "
                          "update.updates_per_batch."};
}

// The last of the evaluations against the best of them, the one before training included.
HealthFinding held_out_falls(const MetricLog& log) {
  const std::string limit = "watch: 20 % below its best; problem: half";
  const std::vector<double> values = finite_values(log, "eval/pass@1");
  if (values.size() < 2)
    return {"Held-out success", unknown,
            values.empty() ? "This run logs no eval/pass@1." : "One evaluation is too few to tell.",
            limit, ""};
  const double best = std::ranges::max(values);
  const double share = best > 0 ? values.back() / best : 1;
  const HealthLevel level = share < 0.5 ? problem : share < 0.8 ? watch : good;
  return {"Held-out success", level,
          fmt::format("Success on held-out problems: {:.3g} at first, {:.3g} at best, {:.3g} now.",
                      values.front(), best, values.back()),
          limit,
          level == good ? ""
                        : "checkpoints/best is the one to use; go on from it with a lower "
                          "optimizer.learning_rate, or hold the policy near its start with "
                          "objective.kl_beta."};
}

HealthFinding reward_falls(const MetricLog& log) {
  const std::string limit = "watch: 20 % below its best; problem: half";
  const Course course(finite_values(log, "reward/mean"));
  if (course.values.size() < kFewestRewards)
    return unknown_finding("Reward", limit, course.values.size(), "reward/mean");
  const double share = course.best > 0 ? course.last / course.best : 1;
  const HealthLevel level = share < 0.5 ? problem : share < 0.8 ? watch : good;
  return {"Reward", level,
          fmt::format("Mean reward: {:.3g} at first, {:.3g} at best, {:.3g} now.", course.first,
                      course.best, course.last),
          limit,
          level == good ? ""
                        : "Go on from the best checkpoint with a lower optimizer.learning_rate, or "
                          "hold the policy near its start with objective.kl_beta."};
}

// Whatever verifier says so: any metric whose name tells of time-outs or failures of workers.
HealthFinding timeouts(const MetricLog& log) {
  const std::string limit = "watch: any; problem: in more than half of the last ten steps";
  bool logged = false;
  double all = 0;
  size_t recent = 0;
  for (const auto& [name, points] : log.metrics) {
    if (name.find("timeout") == std::string::npos && name.find("timed_out") == std::string::npos)
      continue;
    logged = true;
    const auto values = finite_values(log, name);
    all += std::accumulate(values.begin(), values.end(), 0.0);
    const auto last = std::span(values).last(std::min<size_t>(10, values.size()));
    recent = std::max<size_t>(recent, static_cast<size_t>(std::ranges::count_if(
                                          last, [](double one) { return one > 0; })));
  }
  if (!logged) return {"Verifier time-outs", unknown, "This run logs none.", limit, ""};
  const HealthLevel level = recent > 5 ? problem : all > 0 ? watch : good;
  return {"Verifier time-outs", level, fmt::format("Time-outs logged in all: {:.4g}.", all), limit,
          level == good ? ""
                        : "Give the verifier more time or more workers, and look at the responses "
                          "that it takes long for."};
}

HealthFinding not_finite(const MetricLog& log) {
  std::string names;
  for (const auto& [name, points] : log.metrics)
    if (std::ranges::any_of(points, [](const auto& p) { return !std::isfinite(p.second); }))
      names += (names.empty() ? "" : ", ") + name;
  const HealthLevel level = names.empty() ? good : problem;
  return {"Numbers", level,
          names.empty() ? "Every number that was logged is finite."
                        : fmt::format("Not finite at some step: {}.", names),
          "problem: any metric that is NaN or infinite",
          level == good ? ""
                        : "Lower optimizer.learning_rate; --device checked ends at the first "
                          "operation that goes wrong."};
}

}  // namespace

std::vector<HealthFinding> check_health(const MetricLog& log) {
  return {held_out_falls(log), reward_falls(log), equal_rewards(log), entropy(log),
          length(log),         clipping(log),     gradient(log),      mismatch(log),
          skipped(log),        timeouts(log),     not_finite(log)};
}

std::string_view health_level_name(HealthLevel level) {
  constexpr std::string_view kNames[] = {"good", "unknown", "watch", "problem"};
  return kNames[static_cast<size_t>(level)];
}

}  // namespace treepo
