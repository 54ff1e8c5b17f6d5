#include "config/declare_parts.h"

namespace treepo {

namespace {

void declare_budget(OptionTable& table, GrowthOptions& o) {
  table.add_enum("budget", o.budget,
                 "new paths at a segment's end: rollout.branching_factor for each active path and "
                 "each that stopped (transfer), for the active ones only (fixed), with a number "
                 "drawn for each tree and step in its place (random; the first split too), or what "
                 "rollout.tokens_per_step allows");
  table.add("branching_min", o.branching_min, kPositive,
            "fewest new paths for each path, budget random");
  table.add("branching_max", o.branching_max, kPositive,
            "most new paths for each path, budget random");
  table.add("tokens_per_step", o.tokens_per_step, kPositive,
            "tokens of one segment of all paths of all queries sampled together, budget "
            "tokens_per_step; the first split follows from it too");
  table.add_enum("limit", o.limit,
                 "what bounds the trajectories of a query: rollout.width, or their tokens");
  table.add("token_budget", o.token_budget, kPositive,
            "response tokens of a query's trajectories together, limit tokens; rollout.width is "
            "the largest number of trajectories then");
  table.add("width_min", o.width_min, kPositive, "fewest trajectories of a query, limit tokens");
}

void declare_divergence(OptionTable& table, GrowthOptions& o) {
  table.add_enum(
      "divergence", o.divergence,
      "how the budget is split over active paths: in equal shares, or more to paths of "
      "low or high log-prob (sum, mean, mean of the last rollout.segment_tokens), "
      "entropy (of the next token, or mean of the last rollout.segment_tokens), or value "
      "(share of verified leaves near them)");
  table.add_enum("divergence_schedule", o.divergence_schedule,
                 "temperature of a weighted split over the steps of training");
  table.add("divergence_temperature", o.divergence_temperature, kAboveZero,
            "temperature of a weighted split, schedule constant; higher is more even");
  table.add("divergence_temperature_low", o.divergence_temperature_low, kAboveZero,
            "lowest temperature of a weighted split, the other schedules");
  table.add("divergence_temperature_high", o.divergence_temperature_high, kAboveZero,
            "highest temperature of a weighted split, the other schedules");
}

void declare_pruning(OptionTable& table, GrowthOptions& o) {
  table.add_enum("prune", o.prune,
                 "paths given up at a segment's end: those of low mean log-prob, of high entropy "
                 "in their last rollout.segment_tokens, or of low value (share of verified leaves "
                 "near them)");
  table.add("prune_share", o.prune_share, {.min = 0, .max = 1, .below_max = true},
            "most of the active paths that are given up at once, never the last");
  table.add("prune_margin", o.prune_margin, {},
            "only paths are given up that are worse than the mean by more than this (nats, or "
            "value)");
  table.add("train_pruned", o.train_pruned,
            "paths that are given up count as trajectories, with their reward; false: they are "
            "discarded and replaced");
}

void declare_fallback(OptionTable& table, GrowthOptions& o) {
  table.add_enum("fallback", o.fallback,
                 "where to restart in a trajectory when no path is active and trajectories are "
                 "missing: a drawn boundary (random), before its least likely or most uncertain "
                 "token, before a drawn block of unlikely or likely (inverse_block) tokens, or at "
                 "the prompt");
  table.add_enum("fallback_from", o.fallback_from,
                 "which trajectories to restart in: any, weighted or sorted by how they ended, "
                 "weighted by length, only finished ones, only long ones with an answer");
  table.add("fallback_min_windows", o.fallback_min_windows, kPositive,
            "shortest trajectory that fallback_from long_answers takes (windows)");
  table.add("fallback_window", o.fallback_window, kCount,
            "fallback cuts at multiples of this (tokens); 0: rollout.segment_tokens");
  table.add("fallback_max_windows", o.fallback_max_windows, kCount,
            "most windows that fallback drops from a trajectory's end; 0: no limit");
  table.add("fallback_block_tokens", o.fallback_block_tokens, kPositive,
            "tokens of a block, fallback block and inverse_block");
  table.add("fallback_copies", o.fallback_copies, kCount,
            "new paths from one trajectory; 0: rollout.branching_factor");
  table.add("fallback_max_rounds", o.fallback_max_rounds, kCount,
            "how often one tree may fall back; 0: until it has its trajectories");
}

void declare_rollout(OptionTable& table, GrowthOptions& o) {
  table.begin_section("rollout", "How the tree of answers to one query grows.");
  table.add("width", o.width, kPositive, "trajectories wanted for each query");
  table.add("depth", o.depth, kPositive, "largest number of segments on a path");
  table.add("segment_tokens", o.segment_tokens, kPositive, "longest segment (tokens)");
  table.add("branching_factor", o.branching_factor, kPositive,
            "new paths granted for each path at a segment's end");
  table.add("first_split_min", o.first_split_min, kPositive,
            "fewest copies of the root that a tree starts with");
  table.add("first_split_max", o.first_split_max, kPositive,
            "most copies of the root; drawn uniformly for each tree where min and max differ");
  table.add("sequential", o.sequential,
            "no tree: as many separate answers as rollout.width, as in GRPO. Of what follows only "
            "rollout.fallback = \"none\" and fallback_max_rounds have an effect then, on answers "
            "that were discarded and would be sampled again");
  declare_budget(table, o);
  declare_divergence(table, o);
  declare_pruning(table, o);
  declare_fallback(table, o);
}

void declare_stop(OptionTable& table, StopOptions& o) {
  table.begin_section("stop", "When a path ends, besides the end-of-sequence token.");
  table.add("response_tokens", o.response_tokens, kCount,
            "longest response (tokens); 0: rollout.depth × rollout.segment_tokens");
  table.add("min_response_tokens", o.min_response_tokens, kCount,
            "paths that stop with fewer tokens are discarded, and their budget is free again");
  table.add_choice(
      "answer", o.answer, {"none", "boxed", "boxed_with_eos"},
      "what ends a path as answered: a complete \\boxed{…} in its new segment, or that "
      "together with the end-of-sequence token");
  table.add("repetition", o.repetition, "stop a path when a segment's text repeats itself");
  table.add("repetition_first", o.repetition_first, "judge repetition before the other rules");
  table.add("repetition_length", o.repetition_length, kPositive,
            "characters of the repeated substring");
  table.add("repetition_count", o.repetition_count, {2, kMost},
            "occurrences in one segment that count as repetition");
  table.add("stop_strings", o.stop_strings,
            "texts that end a path when it has written one of them");
}

void declare_sampling(OptionTable& table, SamplingOptions& o) {
  table.begin_section("sampling", "How training rollouts draw tokens.");
  table.add("temperature", o.temperature, kAboveZero,
            "logits are divided by it, in sampling and in the update");
  table.add("top_k", o.top_k, kCount, "draw from the k most likely tokens; 0: from all");
  table.add("top_p", o.top_p, {.min = 0, .max = 1, .above_min = true},
            "draw from the most likely tokens that together have this probability");
  table.add("min_p", o.min_p, kShare,
            "leave out tokens below this share of the most likely token's probability");
}

void declare_engine(OptionTable& table, EngineOptions& o) {
  table.begin_section("engine",
                      "What sampling may use. Cannot change which tokens are drawn, "
                      "except by the rounding of logits.");
  table.add("max_rows", o.max_rows, kPositive, "paths decoded in one step");
  table.add("max_step_tokens", o.max_step_tokens, kPositive,
            "tokens of one step, decoded and prefilled together");
  table.add("page_tokens", o.page_tokens, {1, 65536}, "tokens in one page of the key/value cache");
  table.add("cache_mib", o.cache_mib, kPositive, "memory for keys and values (MiB)");
  table.add(
      "cuda_graphs", o.cuda_graphs,
      "on a GPU, record steps of up to 512 rows and replay them, which spares the CPU's time");
}

}  // namespace

void declare_growth_options(OptionTable& table, RunOptions& options) {
  declare_rollout(table, options.rollout);
  declare_stop(table, options.stop);
  declare_sampling(table, options.sampling);
  declare_engine(table, options.engine);
}

}  // namespace treepo
