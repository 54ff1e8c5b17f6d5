#include "config/validate_rollout.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "config/enum_names.h"
#include "config/rule.h"

namespace treepo {

namespace {

void validate_first_split(const GrowthOptions& growth) {
  const std::string fewer =
      "a tree cannot start with more paths than the trajectories it ends with: lower it, or set "
      "rollout.sequential = true";
  Rule(growth.first_split_min <= growth.first_split_max,
       "rollout.first_split_min must not exceed rollout.first_split_max")
      .given("rollout.first_split_min", growth.first_split_min)
      .given("rollout.first_split_max", growth.first_split_max)
      .or_else("set both to the same number for a fixed first split");
  const bool draws_branching = growth.budget == BudgetPolicy::random;
  const bool draws_first_split =
      growth.budget == BudgetPolicy::transfer || growth.budget == BudgetPolicy::fixed;
  Rule(growth.sequential || !draws_first_split || growth.first_split_max <= growth.width,
       "rollout.first_split_max must not exceed rollout.width")
      .given("rollout.first_split_max", growth.first_split_max)
      .given("rollout.width", growth.width)
      .or_else(fewer);
  Rule(growth.branching_min <= growth.branching_max,
       "rollout.branching_min must not exceed rollout.branching_max")
      .given("rollout.branching_min", growth.branching_min)
      .given("rollout.branching_max", growth.branching_max)
      .or_else("set both to the same number for a fixed one");
  Rule(growth.sequential || !draws_branching || growth.branching_max <= growth.width,
       "rollout.branching_max must not exceed rollout.width: the first split is drawn up to it")
      .given("rollout.budget", enum_name(growth.budget))
      .given("rollout.branching_max", growth.branching_max)
      .given("rollout.width", growth.width)
      .or_else(fewer);
}

void validate_budget(const GrowthOptions& growth) {
  if (growth.sequential) return;
  validate_tokens_per_step(growth, 1);
  if (growth.limit != WidthLimit::tokens) return;
  Rule(growth.token_budget >= growth.segment_tokens,
       "rollout.token_budget must hold at least one segment")
      .given("rollout.token_budget", growth.token_budget)
      .given("rollout.segment_tokens", growth.segment_tokens)
      .or_else("it bounds the tokens of all trajectories of a query together");
  Rule(growth.width_min <= growth.width, "rollout.width_min must not exceed rollout.width")
      .given("rollout.width_min", growth.width_min)
      .given("rollout.width", growth.width)
      .or_else("rollout.width is the largest number of trajectories");
}

void validate_shape(const GrowthOptions& growth) {
  Rule(growth.depth * growth.segment_tokens <= INT32_MAX,
       "rollout.depth × rollout.segment_tokens is beyond what a position can count")
      .given("rollout.depth", growth.depth)
      .given("rollout.segment_tokens", growth.segment_tokens)
      .or_else("lower one of them");
  validate_first_split(growth);
  validate_budget(growth);
  Rule(growth.divergence_temperature_low <= growth.divergence_temperature_high,
       "rollout.divergence_temperature_low must not exceed rollout.divergence_temperature_high")
      .given("rollout.divergence_temperature_low", growth.divergence_temperature_low)
      .given("rollout.divergence_temperature_high", growth.divergence_temperature_high)
      .or_else("rollout.divergence_schedule tells which comes first");
  Rule(growth.sequential || growth.prune == PrunePolicy::none ||
           growth.prune_share * static_cast<double>(growth.width) >= 1,
       "rollout.prune_share of rollout.width is less than one path: nothing would be pruned")
      .given("rollout.prune", enum_name(growth.prune))
      .given("rollout.prune_share", growth.prune_share)
      .given("rollout.width", growth.width)
      .or_else("raise rollout.prune_share, or set rollout.prune = \"none\"");
}

// Whom fallback looks for must be able to exist.
void validate_fallback(const GrowthOptions& growth, const StopOptions& stop, int64_t response) {
  if (growth.fallback_from != FallbackFrom::long_answers || growth.sequential) return;
  if (growth.fallback == FallbackPolicy::none) return;
  Rule(stop.answer != "none" || !stop.stop_strings.empty(),
       "rollout.fallback_from looks for answers, but no rule stops a path at one")
      .given("rollout.fallback_from", enum_name(growth.fallback_from))
      .given("stop.answer", stop.answer)
      .given("stop.stop_strings", "[]")
      .or_else("set stop.answer or stop.stop_strings, or rollout.fallback_from = \"finished\"");
  const int64_t window =
      growth.fallback_window == 0 ? growth.segment_tokens : growth.fallback_window;
  Rule(growth.fallback_min_windows * window <= response,
       "no response is as long as rollout.fallback_min_windows")
      .given("rollout.fallback_min_windows", growth.fallback_min_windows)
      .given("tokens of a window", window)
      .given("longest response", response)
      .or_else("lower rollout.fallback_min_windows or rollout.fallback_window");
}

void validate_stop(const StopOptions& stop, int64_t response) {
  Rule(stop.min_response_tokens < response,
       "stop.min_response_tokens must be below the longest response")
      .given("stop.min_response_tokens", stop.min_response_tokens)
      .given("longest response", response)
      .or_else(
          "the longest response is the smaller of stop.response_tokens and rollout.depth × "
          "rollout.segment_tokens");
  Rule(std::ranges::find(stop.stop_strings, "") == stop.stop_strings.end(),
       "stop.stop_strings holds an empty text")
      .given("stop.stop_strings", fmt::format("{} texts", stop.stop_strings.size()))
      .or_else("it would stop every path at once");
  require_distinct("stop.stop_strings", stop.stop_strings);
}

}  // namespace

void validate_rollout(const GrowthOptions& growth, const StopOptions& stop) {
  const int64_t response = longest_response(growth, stop);
  validate_shape(growth);
  validate_fallback(growth, stop, response);
  validate_stop(stop, response);
}

void validate_tokens_per_step(const GrowthOptions& growth, int64_t num_queries) {
  num_queries = std::max<int64_t>(num_queries, 1);
  if (growth.budget != BudgetPolicy::tokens_per_step || growth.sequential) return;
  // By division: the product may be beyond an int64_t.
  const int64_t paths = growth.tokens_per_step / growth.segment_tokens / num_queries;
  const double least =
      static_cast<double>(growth.segment_tokens) * static_cast<double>(num_queries);
  Rule(paths >= 1, "rollout.tokens_per_step must hold at least one segment of each query")
      .given("rollout.tokens_per_step", growth.tokens_per_step)
      .given("rollout.segment_tokens", growth.segment_tokens)
      .given("queries sampled together", num_queries)
      .or_else(fmt::format("{:.0f} hold one path of each query, and trees branch from {:.0f} on",
                           least, 2 * least));
}

}  // namespace treepo
