#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "config/enum_name.h"

namespace treepo {

// The growth policies, each with the names of its values beside it. What they do, with sources:
// docs/policies.md; where they do it: tree/.

// How many paths a tree may have next (tree/budget.h).
enum class BudgetPolicy {
  transfer,         // b for each active path and for each that has just stopped
  fixed,            // b for each active path; what stopped paths would have got is lost
  random,           // as transfer, with b drawn for each tree and step
  tokens_per_step,  // what a number of tokens for all trees together allows
};
template <>
inline constexpr auto kEnumNames<BudgetPolicy> =
    std::to_array<std::string_view>({"transfer", "fixed", "random", "tokens_per_step"});

// What bounds the number of trajectories (tree/budget.h).
enum class WidthLimit {
  trajectories,  // the width
  tokens,        // a number of response tokens for each query
};
template <>
inline constexpr auto kEnumNames<WidthLimit> = std::to_array<std::string_view>({"trajectories",
                                                                                "tokens"});

// How a budget is split over the active paths (tree/divergence.h): evenly, or more to those with…
enum class BudgetSplit {
  even,
  low_logprob,           // … a low sum of log-probs of the whole path
  high_logprob,          //
  low_mean_logprob,      // … a low mean of them
  high_mean_logprob,     //
  low_segment_logprob,   // … a low mean over the path's last segment_tokens tokens
  high_segment_logprob,  //
  low_entropy,           // … a low entropy of the next token's distribution
  high_entropy,          //
  low_segment_entropy,   // … a low mean entropy over the path's last segment_tokens tokens
  high_segment_entropy,  //
  low_value,             // … a low share of verified among the finished leaves near them
  high_value,            //
};
template <>
inline constexpr auto kEnumNames<BudgetSplit> = std::to_array<std::string_view>(
    {"even", "low_logprob", "high_logprob", "low_mean_logprob", "high_mean_logprob",
     "low_segment_logprob", "high_segment_logprob", "low_entropy", "high_entropy",
     "low_segment_entropy", "high_segment_entropy", "low_value", "high_value"});

// Temperature of a weighted split over the training run (tree/divergence.h).
enum class TemperatureSchedule { constant, ascending, descending };
template <>
inline constexpr auto kEnumNames<TemperatureSchedule> =
    std::to_array<std::string_view>({"constant", "ascending", "descending"});

// Which paths are given up at a segment's end (tree/prune.h): those with…
enum class PrunePolicy {
  none,
  logprob,  // … a low mean log-prob of the whole path
  entropy,  // … a high mean entropy over the path's last segment_tokens tokens
  value,    // … a low share of verified among the finished leaves near them
};
template <>
inline constexpr auto kEnumNames<PrunePolicy> =
    std::to_array<std::string_view>({"none", "logprob", "entropy", "value"});

// Where fallback leaves a trajectory (tree/fallback_place.h).
enum class FallbackPolicy {
  none,             // no fallback
  random,           // a drawn number of windows before its end
  lowest_logprob,   // before its least likely token
  highest_entropy,  // before its most uncertain token
  block,            // before a block of tokens, unlikely ones more often
  inverse_block,    // … likely ones more often
  from_start,       // at the prompt
};
template <>
inline constexpr auto kEnumNames<FallbackPolicy> =
    std::to_array<std::string_view>({"none", "random", "lowest_logprob", "highest_entropy", "block",
                                     "inverse_block", "from_start"});

// Which trajectories fallback leaves, in which order (tree/fallback_order.h).
enum class FallbackFrom {
  any,                    // all, in random order
  finished_first,         // all, drawn with a weight by stop reason
  finished_first_strict,  // all, sorted by that weight
  longest,                // all, drawn with their length as weight
  finished,               // those that ended with an answer or end of sequence, in random order
  long_answers,           // those with an answer that are long enough, in random order
};
template <>
inline constexpr auto kEnumNames<FallbackFrom> = std::to_array<std::string_view>(
    {"any", "finished_first", "finished_first_strict", "longest", "finished", "long_answers"});

// How a tree grows. Terms: docs/architecture.md.
struct GrowthOptions {
  int64_t width = 16;            // trajectories wanted for each query
  int64_t depth = 14;            // largest number of segments on a path
  int64_t segment_tokens = 512;  // tokens of a segment at most
  int64_t branching_factor = 2;  // new paths granted for each path at a segment's end
  int64_t first_split_min = 2;   // copies of the root: drawn uniformly from [min, max]
  int64_t first_split_max = 2;
  bool sequential = false;  // first split = width, no branching: GRPO's sampling

  BudgetPolicy budget = BudgetPolicy::transfer;
  int64_t branching_min = 2, branching_max = 4;  // of budget random
  int64_t tokens_per_step = 65536;               // of budget tokens_per_step
  WidthLimit limit = WidthLimit::trajectories;
  int64_t token_budget = 65536;  // response tokens of a query, of limit tokens
  int64_t width_min = 1;         // fewest trajectories, of limit tokens

  BudgetSplit divergence = BudgetSplit::even;
  TemperatureSchedule divergence_schedule = TemperatureSchedule::constant;
  double divergence_temperature = 2.0;                                         // constant
  double divergence_temperature_low = 1.0, divergence_temperature_high = 5.0;  // scheduled

  PrunePolicy prune = PrunePolicy::none;
  double prune_share = 0.25;  // of the active paths, at most
  double prune_margin = 0.0;  // only paths that are worse than the mean by more than this
  bool train_pruned = false;  // pruned paths are trajectories; false: discarded

  FallbackPolicy fallback = FallbackPolicy::random;
  FallbackFrom fallback_from = FallbackFrom::any;
  int64_t fallback_min_windows = 2;     // shortest trajectory of long_answers
  int64_t fallback_window = 0;          // tokens; boundaries are its multiples; 0: segment_tokens
  int64_t fallback_max_windows = 0;     // most windows dropped from a trajectory's end; 0: no limit
  int64_t fallback_block_tokens = 128;  // of block and inverse_block
  int64_t fallback_copies = 0;          // new paths from one trajectory; 0: branching_factor
  int64_t fallback_max_rounds = 0;      // fallbacks of a tree; 0: no limit
};

}  // namespace treepo
