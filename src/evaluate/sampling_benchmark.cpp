#include "evaluate/sampling_benchmark.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/timer.h"

namespace treepo {

namespace {

double median(std::vector<double> values) {
  TREEPO_CHECK(!values.empty(), "nothing was measured");
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

double ratio(int64_t above, int64_t below) {
  return static_cast<double>(above) / static_cast<double>(std::max<int64_t>(below, 1));
}

}  // namespace

double SamplingMeasurement::median_seconds() const {
  return median(seconds);
}

double SamplingMeasurement::trajectories_per_second() const {
  return static_cast<double>(stats.trajectories) / rounds() / median_seconds();
}

double SamplingMeasurement::unique_tokens_per_second() const {
  return static_cast<double>(stats.drawn_tokens) / rounds() / median_seconds();
}

double SamplingMeasurement::trajectory_tokens_per_second() const {
  return static_cast<double>(stats.trajectory_tokens) / rounds() / median_seconds();
}

double SamplingMeasurement::processed_tokens() const {
  return static_cast<double>(stats.drawn_tokens + stats.prefilled_tokens) / rounds();
}

double SamplingMeasurement::processed_tokens_per_second() const {
  return processed_tokens() / median_seconds();
}

double SamplingMeasurement::total_seconds() const {
  return std::accumulate(seconds.begin(), seconds.end(), 0.0);
}

double SamplingMeasurement::other_seconds() const {
  return total_seconds() - profile.linear_seconds - profile.attention_seconds -
         profile.draw_seconds - stats.scheduling_seconds;
}

double SamplingMeasurement::bytes_per_second() const {
  return static_cast<double>(profile.weight_bytes + profile.key_value_bytes) / total_seconds();
}

double SamplingMeasurement::sharing() const {
  return ratio(stats.trajectory_tokens, stats.drawn_tokens);
}

std::vector<DepthTokens> tokens_by_depth(std::span<const SearchTree> trees) {
  std::vector<DepthTokens> tokens;
  const auto at_depth = [&](int32_t depth) -> DepthTokens& {
    if (tokens.size() < static_cast<size_t>(depth)) tokens.resize(static_cast<size_t>(depth));
    return tokens[static_cast<size_t>(depth) - 1];
  };
  for (const SearchTree& tree : trees) {
    for (int32_t node = 1; node < tree.num_nodes(); ++node)
      at_depth(tree.node(node).depth).unique += tree.node(node).num_tokens;
    for (const int32_t leaf : tree.leaves()) {
      const std::vector<int32_t> path = tree.path(leaf), used = tree.path_used_tokens(leaf);
      for (size_t i = 1; i < path.size(); ++i)
        at_depth(tree.node(path[i]).depth).trajectory += used[i];
    }
  }
  return tokens;
}

SamplingAccuracy sampling_accuracy(std::span<const Samples> problems, uint64_t seed) {
  constexpr int64_t kResamples = 1000;
  std::vector<double> average, majority;
  for (const Samples& samples : problems) {  // fallback may have found no trajectory at all
    average.push_back(samples.empty() ? 0 : mean_correct(samples));
    majority.push_back(samples.empty() ? 0 : majority_correct(samples));
  }
  const ProblemBootstrap bootstrap(static_cast<int64_t>(problems.size()), kResamples, seed);
  return {.average = bootstrap.interval(average), .majority = bootstrap.interval(majority)};
}

namespace {

// The name of a lock-step case says that all trees begin in the first step: throws Error if not.
RolloutCallbacks with_lock_step_check(const SamplingCase& one, const RolloutCallbacks& callbacks) {
  RolloutCallbacks checking = callbacks;
  checking.progress = [&one, first = true,
                       then = callbacks.progress](const RolloutProgress& at) mutable {
    const int64_t begun = at.growing_trees + at.finished_queries;
    if (std::exchange(first, false) && begun < at.queries)
      throw Error(fmt::format("{}: engine.cache_mib = {} has room for {} of {} trees at once",
                              one.name, one.settings.engine.cache_mib, begun, at.queries),
                  "raise engine.cache_mib, or take fewer queries");
    if (then) then(at);
  };
  return checking;
}

}  // namespace

std::vector<SamplingMeasurement> measure_sampling(StepModel& model,
                                                  std::span<const SamplingCase> cases,
                                                  std::span<const Query> queries, int64_t rounds,
                                                  const SamplingHooks& hooks) {
  std::vector<SamplingMeasurement> measured(cases.size());
  std::vector<RolloutEngine> engines;
  int64_t done = 0;
  const auto report_run = [&] {
    ++done;
    if (hooks.progress) hooks.progress(done);
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    measured[i].what = cases[i];
    // Not timed: the model gets its memory.
    const bool lock_step = cases[i].sweep == Sweep::lock_step;
    auto trees = RolloutEngine(model, cases[i].settings)
                     .run(queries, lock_step ? with_lock_step_check(cases[i], hooks.rollout)
                                             : hooks.rollout);
    measured[i].by_depth = tokens_by_depth(trees);
    if (hooks.judge) measured[i].accuracy = hooks.judge(std::move(trees));
    engines.emplace_back(model, cases[i].settings);
    report_run();
  }
  for (int64_t round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < cases.size(); ++i) {
      const StepProfile before = model.profile();
      const Timer timer;
      engines[i].run(queries, hooks.rollout);
      measured[i].seconds.push_back(timer.seconds());
      measured[i].profile += model.profile() - before;
      report_run();
    }
  }
  for (size_t i = 0; i < cases.size(); ++i) measured[i].stats = engines[i].stats();
  return measured;
}

}  // namespace treepo
