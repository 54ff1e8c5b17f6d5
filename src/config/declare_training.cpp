#include "config/declare_parts.h"

namespace treepo {

namespace {

using enum OnResume;

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
            "the ratio is clipped below 1 - this (for sequences 3e-4 is usual); 1: nowhere");
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
  table.add("kl_in_reward", o.kl_in_reward,
            "take kl_beta × that estimate, summed over a trajectory's tokens before the update, "
            "from its reward; the loss then has no KL term (k1 is usual)");
  table.add_choice("reference_dtype", o.reference_dtype, {"model", "bfloat16"},
                   "type of the first model's weights: model.dtype, or bfloat16 to save memory");
  table.add("reference_every", o.reference_every, kCount,
            "steps after which the policy takes the first model's place in that divergence, again "
            "and again (ProRL, arXiv 2505.24864); 0: never");
  table.add("entropy_beta", o.entropy_beta, {}, "weight of the entropy bonus");
  table.add_choice(
      "beta_schedule", o.beta_schedule, {"constant", "linear", "cosine", "exponential"},
      "course of kl_beta and entropy_beta: much exploration at first, little at the end");
  table.add("beta_end", o.beta_end, {.min = 0, .max = 1, .above_min = true},
            "share of kl_beta and entropy_beta that is left at the end, unless beta_schedule is "
            "constant");
  table.add("beta_steps", o.beta_steps, kCount,
            "steps (batches) after which beta_schedule has reached its end; 0: those of the run, "
            "as for optimizer.decay_steps");
  table.add("importance_cap", o.importance_cap, {},
            "largest importance weight against the mismatch of sampler and trainer; 0: off");
  table.add_enum("importance_mask", o.importance_mask,
                 "what is left out of the policy loss where the ratio of trainer to sampler lies "
                 "outside the band: tokens, or trajectories by the product of their tokens' ratios "
                 "(sequence) or its geometric mean");
  table.add("importance_mask_low", o.importance_mask_low, kShare, "lowest ratio that is kept");
  table.add("importance_mask_high", o.importance_mask_high, {.min = 1},
            "highest ratio that is kept");
  table.add("mask_truncated", o.mask_truncated,
            "no loss for trajectories cut off at the longest response, which are not run either, "
            "but count in the others' advantages (overlong filtering of DAPO)");
}

void declare_optimizer(OptionTable& table, OptimizerOptions& o) {
  table.begin_section("optimizer", "AdamW.");
  table.add("learning_rate", o.learning_rate, {}, "highest learning rate");
  table.add("warmup_steps", o.warmup_steps, kCount,
            "steps (batches, whatever update.updates_per_batch) in which the learning rate rises "
            "from 0");
  table.add_choice("schedule", o.schedule, {"constant", "cosine", "linear"},
                   "course of the learning rate after warm-up; cosine and linear fall to "
                   "optimizer.min_lr_ratio of it");
  table.add("min_lr_ratio", o.min_lr_ratio, kShare,
            "share of optimizer.learning_rate at the end, schedules cosine and linear");
  table.add("decay_steps", o.decay_steps, kCount,
            "steps (batches), warm-up included, after which the schedule has reached that share; "
            "0: those of the run, train.max_steps or as many as train.epochs has queries for");
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
  table.add("tensorboard", o.tensorboard,
            "also write event files for TensorBoard, in the folder tensorboard/ of the run",
            may_change);
  table.add("wandb_project", o.wandb_project,
            "also send metrics to this project of Weights & Biases, by its Python package; empty: "
            "do not",
            may_change);
}

void declare_evaluate(OptionTable& table, EvaluateOptions& o) {
  table.begin_section("evaluate", "Tests on held-out problems during the run.");
  table.add("every", o.every, kCount, "steps between evaluations; 0: only before and after",
            may_change);
  table.add("queries", o.queries, kCount,
            "held-out problems used, the first of each test source in turn; 0: all", may_change);
  table.add("samples", o.samples, {0, 65536}, "answers drawn for each problem", may_change);
  table.add("temperature", o.temperature, kAboveZero, "temperature of these answers", may_change);
  table.add("top_p", o.top_p, {.min = 0, .max = 1, .above_min = true}, "their top-p", may_change);
  table.add("greedy", o.greedy, "also one greedy answer for each problem", may_change);
}

void declare_sft(OptionTable& table, SftOptions& o) {
  table.begin_section("sft", "Supervised training, `treepo sft`.");
  table.add_texts("train", o.train,
                  "files of examples, written as data.train: chats {\"messages\"}, or {\"prompt\", "
                  "\"response\"}");
  table.add_texts("test", o.test, "files of held-out examples; empty: no evaluation");
  table.add("batch", o.batch, kPositive, "examples in each optimiser step");
  table.add("max_tokens", o.max_tokens, kCount,
            "examples with more tokens are left out; 0: none is, and one that exceeds the model's "
            "context is an error");
}

}  // namespace

void declare_training_options(OptionTable& table, RunOptions& options) {
  declare_advantage(table, options.advantage);
  declare_objective(table, options.objective);
  declare_optimizer(table, options.optimizer);
  declare_update(table, options.update);
  declare_train(table, options.train);
  declare_evaluate(table, options.evaluate);
  declare_sft(table, options.sft);
}

}  // namespace treepo
