#include "config/declare.h"

#include <algorithm>
#include <cctype>

namespace treepo {

namespace {

using enum OnResume;

// Node ids, positions and lengths are 32-bit numbers; their sums must stay far from the end.
constexpr int64_t kMost = int64_t{1} << 24;

constexpr IntRange kCount = {0, kMost}, kPositive = {1, kMost}, kSeed = {0, kNoLimit};
constexpr DoubleRange kAboveZero = {.above_min = true};
constexpr DoubleRange kShare = {0, 1};
constexpr DoubleRange kBeta = {.min = 0, .max = 1, .below_max = true};

bool is_plain_device(const std::string& text) {
  if (text == "cpu" || text == "cuda") return true;
  constexpr std::string_view prefix = "cuda:";
  const std::string_view number =
      std::string_view(text).substr(std::min(text.size(), prefix.size()));
  return text.starts_with(prefix) && !number.empty() && number.size() <= 3 &&
         std::all_of(number.begin(), number.end(), [](unsigned char c) { return std::isdigit(c); });
}

bool is_device(const std::string& text) {
  constexpr std::string_view checked = "checked:";
  return text == "checked" || is_plain_device(text) ||
         (text.starts_with(checked) && is_plain_device(text.substr(checked.size())));
}

void declare_model(OptionTable& table, ModelOptions& o) {
  table.begin_section("model", "The model that is trained, and where it runs.");
  table.add("path", o.path,
            "Hugging Face directory to start from; empty: a fresh model with the tokenizer of "
            "data.kind = \"carry\"");
  table.add_pattern("device", o.device, "cpu, cuda, cuda:N, checked, checked:cuda, checked:cuda:N",
                    is_device,
                    "where tensors live; checked: runs two implementations side by side and ends "
                    "at the first difference (kernels and plain tensor operations; GPU and CPU)");
  table.add_choice("dtype", o.dtype, {"float32", "float64", "bfloat16", "float16"},
                   "type of weights and activations");
  table.add("random_weights", o.random_weights,
            "take only config.json and tokenizer from model.path, and fresh weights");
  table.add_choice("architecture", o.architecture, {"llama", "qwen2", "qwen3", "mistral"},
                   "family of the fresh model (this and what follows: only without model.path)");
  table.add("hidden_size", o.hidden_size, kPositive, "width of the residual stream");
  table.add("num_layers", o.num_layers, {1, 10000}, "decoder layers");
  table.add("num_heads", o.num_heads, kPositive, "query heads; divides model.hidden_size");
  table.add("num_kv_heads", o.num_kv_heads, kPositive, "key/value heads; divides model.num_heads");
  table.add("intermediate_size", o.intermediate_size, kPositive, "width inside the SwiGLU layer");
  table.add("max_positions", o.max_positions, kPositive,
            "longest sequence, prompt and response together (tokens)");
  table.add("rope_theta", o.rope_theta, kAboveZero, "base of the rotary position embedding");
  table.add("initializer_range", o.initializer_range, kAboveZero,
            "standard deviation of the fresh weights");
  table.add("tie_embeddings", o.tie_embeddings, "one matrix for input and output embedding");
}

void declare_lora(OptionTable& table, LoraOptions& o) {
  table.begin_section("lora", "Low-rank adapters: trained in place of the weights.");
  table.add("rank", o.rank, {0, 65536}, "rank of the adapters; 0: none, all weights are trained");
  table.add("alpha", o.alpha, kAboveZero, "what an adapter adds is scaled by this / rank");
  table.add("targets", o.targets,
            "matrices that get an adapter: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, "
            "down_proj");
}

void declare_data(OptionTable& table, DataOptions& o) {
  table.begin_section("data", "The problems.");
  table.add_choice("kind", o.kind, {"jsonl", "carry"},
                   "jsonl: read from files; carry: the quickstart's task, made by treepo");
  table.add("train", o.train,
            "file of training problems (jsonl): {\"prompt\" or \"ids\", \"answer\"} on each line");
  table.add("test", o.test, "file of held-out problems (jsonl); empty: no evaluation");
  table.add("held_out", o.held_out, {1, 100000}, "problems held out for evaluation (carry)");
  table.add("seed", o.seed, kSeed, "seed of the problems that are made (carry)");
}

void declare_warm_start(OptionTable& table, WarmStartOptions& o) {
  table.begin_section("warm_start",
                      "Supervised training on demonstrations, before reinforcement learning.");
  table.add("steps", o.steps, kCount, "optimiser steps; 0: no warm start");
  table.add("batch", o.batch, kPositive, "demonstrations in each step");
  table.add("learning_rate", o.learning_rate, kAboveZero,
            "highest learning rate; falls to 0 along a cosine");
  table.add("warmup_steps", o.warmup_steps, kCount,
            "steps in which the learning rate rises from 0");
  table.add("carry_bug", o.carry_bug, kShare,
            "probability that a demonstration forgets a carry or borrow that is due");
}

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
            "no tree: as many separate answers as rollout.width, as in GRPO; what follows has no "
            "effect then");
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
}

void declare_reward(OptionTable& table, RewardOptions& o) {
  table.begin_section("reward", "What a response is worth.");
  table.add_choice("kind", o.kind, {"carry", "digits", "exact", "numeric"},
                   "verifier; exact: the text, numeric: the value of the last number, carry and "
                   "digits: the two example tasks");
  table.add("overlong_tokens", o.overlong_tokens, kCount,
            "the reward falls linearly over this many last tokens of the longest response; 0: off");
  table.add("overlong_penalty", o.overlong_penalty, {},
            "what a response of full length loses by that");
}

void declare_advantage(OptionTable& table, AdvantageOptions& o) {
  table.begin_section("advantage", "How rewards become the advantage of each trajectory.");
  table.add_enum(
      "kind", o.kind,
      "tree: mean over a leaf's subgroups (TreePO Eq. 5), …size_weighted: Eq. 6, "
      "…reject_degenerate: Eq. 7, …no_root: without the root's group, grpo: that alone, "
      "leave_one_out: against the query's other answers; with one advantage for each "
      "segment, segment: its node's mean reward minus its parent's, expected_reward: its "
      "node's value minus that of its siblings, sibling_normalized: that divided by the "
      "siblings' standard deviation");
  table.add("query_std", o.query_std, "divide by the standard deviation of the query's rewards");
  table.add("whiten", o.whiten,
            "subtract the batch's mean and divide by its standard deviation, both over tokens; "
            "advantages of segments are divided by their root mean square only");
  table.add("epsilon", o.epsilon, kAboveZero, "added to a standard deviation");
}

void declare_objective(OptionTable& table, ObjectiveOptions& o) {
  table.begin_section("objective", "The policy-gradient loss.");
  table.add_enum("kind", o.kind,
                 "dapo: mean over all tokens, grpo: over trajectories of their means, dr_grpo: sum "
                 "over trajectories × longest response, bnpo: over queries of their token means, "
                 "gspo: grpo with the ratio of sequences, cispo: dapo with the clipped ratio as a "
                 "weight, reinforce_plus_plus: dapo that insists on advantages normalised over the "
                 "batch");
  table.add_enum("ratio", o.ratio,
                 "what is clipped: the ratio of each token, or one for each trajectory, the "
                 "geometric mean of its tokens'; automatic: sequence for gspo, else token");
  table.add("clip_low", o.clip_low, kShare,
            "the ratio is clipped below 1 - this (for sequences 3e-4 is usual)");
  table.add("clip_high", o.clip_high, {},
            "the ratio is clipped above 1 + this (for sequences 4e-4 is usual)");
  table.add("dual_clip", o.dual_clip, {},
            "the loss of a token with negative advantage is at most this × its magnitude; 0: off "
            "(no part of cispo)");
  table.add("kl_beta", o.kl_beta, {},
            "weight of the KL divergence from the first model; 0: none, and no copy of it is kept");
  table.add_enum("kl_estimator", o.kl_estimator,
                 "estimate of that divergence, with d = reference - log-prob: k1: -d, k2: d² / 2, "
                 "k3: exp(d) - d - 1");
  table.add_choice("reference_dtype", o.reference_dtype, {"model", "bfloat16"},
                   "type of the first model's weights: model.dtype, or bfloat16 to save memory");
  table.add("entropy_beta", o.entropy_beta, {}, "weight of the entropy bonus");
  table.add("importance_cap", o.importance_cap, {},
            "largest importance weight against the mismatch of sampler and trainer; 0: off");
  table.add_enum("importance_mask", o.importance_mask,
                 "what is left out of the policy loss where the ratio of trainer to sampler lies "
                 "outside the band: tokens, or trajectories by the product of their tokens' ratios "
                 "(sequence) or its geometric mean");
  table.add("importance_mask_low", o.importance_mask_low, kShare, "lowest ratio that is kept");
  table.add("importance_mask_high", o.importance_mask_high, {.min = 1},
            "highest ratio that is kept");
}

void declare_optimizer(OptionTable& table, OptimizerOptions& o) {
  table.begin_section("optimizer", "AdamW.");
  table.add("learning_rate", o.learning_rate, {}, "highest learning rate");
  table.add("warmup_steps", o.warmup_steps, kCount,
            "optimiser steps in which the learning rate rises from 0");
  table.add_choice("schedule", o.schedule, {"constant", "cosine", "linear"},
                   "course of the learning rate after warm-up; cosine and linear fall to "
                   "optimizer.min_lr_ratio of it");
  table.add("min_lr_ratio", o.min_lr_ratio, kShare,
            "share of optimizer.learning_rate at the end, schedules cosine and linear");
  table.add("beta1", o.beta1, kBeta, "decay of the mean of gradients");
  table.add("beta2", o.beta2, kBeta, "decay of the mean of squared gradients");
  table.add("epsilon", o.epsilon, kAboveZero, "added to the root of the mean of squares");
  table.add("weight_decay", o.weight_decay, {},
            "decoupled weight decay; none for norms and biases");
  table.add("max_grad_norm", o.max_grad_norm, {}, "gradients are scaled down to it; 0: never");
}

void declare_update(OptionTable& table, UpdateOptions& o) {
  table.begin_section("update", "How a batch of trees becomes optimiser steps.");
  table.add("updates_per_batch", o.updates_per_batch, kPositive,
            "optimiser steps for each batch, each on its share of the queries");
  table.add("max_tokens", o.max_tokens, kPositive,
            "packed tokens run at once; gradients accumulate over packs");
  table.add("logit_chunk_tokens", o.logit_chunk_tokens, kPositive,
            "tokens whose logits exist at once; less memory, same result");
  table.add("packed", o.packed, "run tokens that trajectories share once; false: each apart");
  table.add("checkpoint_layers", o.checkpoint_layers,
            "keep only the input of each layer for the backward pass, which runs the layer again: "
            "less memory, more time, the same gradients");
  table.add("recompute_old_logprobs", o.recompute_old_logprobs,
            "old log-probs from a forward pass before the update rather than from sampling");
}

void declare_train(OptionTable& table, TrainOptions& o) {
  table.begin_section("train", "The loop.");
  table.add("seed", o.seed, kSeed, "seed of everything that is drawn");
  table.add("max_steps", o.max_steps, kCount, "steps (batches) at most", may_change);
  table.add("epochs", o.epochs, {}, "passes over the training problems at most; 0: no limit",
            may_change);
  table.add("queries_per_step", o.queries_per_step, kPositive, "queries in each batch");
  table.add("dynamic_sampling", o.dynamic_sampling,
            "replace queries whose answers all have the same score");
  table.add("max_sampling_rounds", o.max_sampling_rounds, {1, 1000},
            "rounds of sampling to fill a batch, before it goes on with what there is");
  table.add("max_skipped_updates", o.max_skipped_updates, kPositive,
            "updates in a row that may be skipped because their gradient is not finite; then the "
            "run stops",
            may_change);
  table.add("run_dir", o.run_dir, "directory for configuration, logs and checkpoints", may_change);
  table.add("checkpoint_every", o.checkpoint_every, kCount,
            "steps between checkpoints; 0: only at the end", may_change);
  table.add("keep_checkpoints", o.keep_checkpoints, kPositive,
            "newest checkpoints that are kept, besides the best", may_change);
  table.add("threads", o.threads, {0, 4096}, "CPU threads; 0: all cores");
  table.add("sample_queries", o.sample_queries, kCount,
            "trees written to samples.jsonl in each step", may_change);
}

void declare_evaluate(OptionTable& table, EvaluateOptions& o) {
  table.begin_section("evaluate", "Tests on held-out problems during the run.");
  table.add("every", o.every, kCount, "steps between evaluations; 0: only before and after",
            may_change);
  table.add("queries", o.queries, kCount, "held-out problems used; 0: all", may_change);
  table.add("samples", o.samples, {0, 65536}, "answers drawn for each problem", may_change);
  table.add("temperature", o.temperature, kAboveZero, "temperature of these answers", may_change);
  table.add("top_p", o.top_p, {.min = 0, .max = 1, .above_min = true}, "their top-p", may_change);
  table.add("greedy", o.greedy, "also one greedy answer for each problem", may_change);
}

void declare_sft(OptionTable& table, SftOptions& o) {
  table.begin_section("sft", "Supervised training, `treepo sft`.");
  table.add("train", o.train, "file of examples: {\"prompt\", \"response\"} on each line");
  table.add("test", o.test, "file of held-out examples; empty: no evaluation");
  table.add("batch", o.batch, kPositive, "examples in each optimiser step");
  table.add("max_tokens", o.max_tokens, kCount,
            "examples with more tokens are left out; 0: none is, and one that exceeds the model's "
            "context is an error");
}

}  // namespace

OptionTable declare_options(RunOptions& options) {
  OptionTable table;
  declare_model(table, options.model);
  declare_lora(table, options.lora);
  declare_data(table, options.data);
  declare_warm_start(table, options.warm_start);
  declare_rollout(table, options.rollout);
  declare_stop(table, options.stop);
  declare_sampling(table, options.sampling);
  declare_engine(table, options.engine);
  declare_reward(table, options.reward);
  declare_advantage(table, options.advantage);
  declare_objective(table, options.objective);
  declare_optimizer(table, options.optimizer);
  declare_update(table, options.update);
  declare_train(table, options.train);
  declare_evaluate(table, options.evaluate);
  declare_sft(table, options.sft);
  return table;
}

}  // namespace treepo
