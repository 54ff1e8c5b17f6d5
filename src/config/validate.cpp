#include "config/validate.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "config/enum_names.h"
#include "config/rule.h"
#include "config/validate_rollout.h"

namespace treepo {

namespace {

void validate_fresh_model(const ModelOptions& model) {
  Rule(model.hidden_size % model.num_heads == 0,
       "model.hidden_size must be a multiple of model.num_heads")
      .given("model.hidden_size", model.hidden_size)
      .given("model.num_heads", model.num_heads)
      .or_else(fmt::format("for example model.hidden_size = {}",
                           (model.hidden_size / model.num_heads + 1) * model.num_heads));
  Rule(model.hidden_size / model.num_heads % 2 == 0,
       "model.hidden_size / model.num_heads must be even, for rotary positions")
      .given("model.hidden_size", model.hidden_size)
      .given("model.num_heads", model.num_heads)
      .or_else(fmt::format("for example model.hidden_size = {}",
                           (model.hidden_size / model.num_heads + 1) * model.num_heads));
  Rule(model.num_heads % model.num_kv_heads == 0,
       "model.num_heads must be a multiple of model.num_kv_heads")
      .given("model.num_heads", model.num_heads)
      .given("model.num_kv_heads", model.num_kv_heads)
      .or_else("each key/value head serves the same number of query heads");
}

void validate_room_for_prompt(const ModelOptions& model, int64_t response) {
  Rule(response < model.max_positions,
       "the longest response leaves no room for a prompt in model.max_positions")
      .given("longest response", response)
      .given("model.max_positions", model.max_positions)
      .or_else("raise model.max_positions, or lower stop.response_tokens or rollout.depth");
}

void validate_mismatch(const ObjectiveOptions& objective, const UpdateOptions& update) {
  Rule(objective.importance_cap == 0 || objective.importance_cap >= 1,
       "objective.importance_cap must be 0 (off) or at least 1")
      .given("objective.importance_cap", objective.importance_cap)
      .or_else("below 1 it would scale down tokens on which sampler and trainer agree");
  Rule(objective.importance_cap == 0 || update.recompute_old_logprobs,
       "objective.importance_cap compares the sampler's log-probs with recomputed ones")
      .given("objective.importance_cap", objective.importance_cap)
      .given("update.recompute_old_logprobs", update.recompute_old_logprobs)
      .or_else("set update.recompute_old_logprobs = true, or objective.importance_cap = 0");
  Rule(objective.importance_mask == ImportanceMask::none || update.recompute_old_logprobs,
       "objective.importance_mask compares the sampler's log-probs with recomputed ones")
      .given("objective.importance_mask", enum_name(objective.importance_mask))
      .given("update.recompute_old_logprobs", update.recompute_old_logprobs)
      .or_else("set update.recompute_old_logprobs = true, or objective.importance_mask = \"none\"");
}

// What makes REINFORCE++ differ from other clipped objectives lies in other sections.
void validate_reinforce_plus_plus(const RunOptions& o) {
  if (o.objective.kind != Objective::reinforce_plus_plus) return;
  Rule(o.advantage.whiten && !o.advantage.query_std,
       "reinforce_plus_plus normalises advantages over the batch, not by query")
      .given("objective.kind", enum_name(o.objective.kind))
      .given("advantage.whiten", o.advantage.whiten)
      .given("advantage.query_std", o.advantage.query_std)
      .or_else("set advantage.whiten = true and advantage.query_std = false, or another kind");
  const bool in_reward = o.objective.kl_in_reward;
  const KlEstimator estimator = in_reward ? KlEstimator::k1 : KlEstimator::k2;
  Rule(o.objective.kl_beta == 0 || o.objective.kl_estimator == estimator,
       in_reward ? "the KL in the reward of reinforce_plus_plus is estimated by k1"
                 : "the KL term of reinforce_plus_plus is estimated by k2")
      .given("objective.kl_beta", o.objective.kl_beta)
      .given("objective.kl_estimator", enum_name(o.objective.kl_estimator))
      .or_else(fmt::format("set objective.kl_estimator = \"{}\", or another kind",
                           enum_name(estimator)));
}

void validate_advantage(const AdvantageOptions& advantage) {
  Rule(advantage.kind != AdvantageKind::sibling_normalized || !advantage.query_std,
       "sibling_normalized divides by the siblings' standard deviation already")
      .given("advantage.kind", enum_name(advantage.kind))
      .given("advantage.query_std", advantage.query_std)
      .or_else("set advantage.query_std = false, or advantage.kind = \"expected_reward\"");
}

void validate_optimizer(const OptimizerOptions& optimizer) {
  Rule(optimizer.min_lr_ratio == 0 || optimizer.schedule != "constant",
       "a constant learning rate has no other at its end")
      .given("optimizer.schedule", optimizer.schedule)
      .given("optimizer.min_lr_ratio", optimizer.min_lr_ratio)
      .or_else("set optimizer.schedule to cosine or linear, or optimizer.min_lr_ratio = 0");
  Rule(optimizer.decay_steps == 0 || optimizer.decay_steps > optimizer.warmup_steps,
       "the learning rate can't have fallen before it has risen")
      .given("optimizer.decay_steps", optimizer.decay_steps)
      .given("optimizer.warmup_steps", optimizer.warmup_steps)
      .or_else("raise optimizer.decay_steps; 0 stands for all of training");
}

void validate_objective(const ObjectiveOptions& objective) {
  Rule(objective.dual_clip == 0 || objective.dual_clip > 1,
       "objective.dual_clip must be 0 (off) or above 1")
      .given("objective.dual_clip", objective.dual_clip)
      .or_else("at 1 or below it would cut off tokens whose probability has not changed");
  Rule(!objective.kl_in_reward || objective.kl_beta > 0,
       "objective.kl_in_reward takes nothing from rewards without a weight")
      .given("objective.kl_in_reward", objective.kl_in_reward)
      .given("objective.kl_beta", objective.kl_beta)
      .or_else("set objective.kl_beta above 0, or objective.kl_in_reward = false");
  Rule(objective.kind != Objective::gspo || objective.ratio != RatioLevel::token,
       "gspo is grpo with the ratio of sequences")
      .given("objective.kind", enum_name(objective.kind))
      .given("objective.ratio", enum_name(objective.ratio))
      .or_else("set objective.kind = \"grpo\" for the ratio of tokens");
}

void validate_updates(const RunOptions& o) {
  Rule(o.update.updates_per_batch <= o.train.queries_per_step,
       "update.updates_per_batch must not exceed train.queries_per_step")
      .given("update.updates_per_batch", o.update.updates_per_batch)
      .given("train.queries_per_step", o.train.queries_per_step)
      .or_else("each update needs at least one query");
}

void validate_sources(const RunOptions& o) {
  const bool made = o.data.kind == "carry";
  Rule(made || !o.data.train.empty(), "there is nothing to train on: data.train is empty")
      .given("data.kind", o.data.kind)
      .or_else("set data.train to a file of problems, or data.kind = \"carry\"");
  Rule(made || !o.model.path.empty(),
       "a fresh model has the tokenizer of data.kind = \"carry\" only")
      .given("data.kind", o.data.kind)
      .given("model.path", "\"\"")
      .or_else(
          "set model.path to a Hugging Face directory; model.random_weights = true takes only "
          "its configuration and tokenizer");
  Rule(made || o.warm_start.steps == 0,
       "only data.kind = \"carry\" has demonstrations to start from")
      .given("data.kind", o.data.kind)
      .given("warm_start.steps", o.warm_start.steps)
      .or_else("set warm_start.steps = 0");
  Rule(!made || o.train.epochs == 0,
       "the problems of data.kind = \"carry\" never repeat: no epochs")
      .given("train.epochs", o.train.epochs)
      .or_else("set train.max_steps instead");
  // Rules of form, length and the like judge any response; so may a function of the user.
  Rule(!made || o.reward.kind == "parts" || o.reward.kind == "carry" ||
           o.reward.kind.starts_with("numeric") || o.reward.kind.starts_with("python:"),
       "no response to data.kind = \"carry\" can pass this verifier")
      .given("reward.kind", o.reward.kind)
      .or_else("set reward.kind = \"carry\"");
}

void validate_lora(const RunOptions& o) {
  if (o.lora.rank == 0) return;
  Rule(o.objective.reference_every == 0,
       "under adapters the reference is always the model without them")
      .given("lora.rank", o.lora.rank)
      .given("objective.reference_every", o.objective.reference_every)
      .or_else("set objective.reference_every = 0");
  Rule(!o.lora.targets.empty(), "adapters need matrices to adapt")
      .given("lora.rank", o.lora.rank)
      .given("lora.targets", "[]")
      .or_else("name some in lora.targets, or set lora.rank = 0");
  for (const std::string& target : o.lora.targets)
    Rule(is_lora_target(target), "lora.targets names no matrix of a decoder layer")
        .given("lora.targets", target)
        .or_else("q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj");
  require_distinct("lora.targets", o.lora.targets);
  Rule(!o.model.path.empty() && !o.model.random_weights,
       "adapters need a model that can be loaded again, for they are saved without it")
      .given("lora.rank", o.lora.rank)
      .given("model.path", fmt::format("\"{}\"", o.model.path))
      .given("model.random_weights", o.model.random_weights)
      .or_else("set model.path to a Hugging Face directory, or lora.rank = 0");
  Rule(o.warm_start.steps == 0, "a warm start trains all weights, adapters freeze them")
      .given("lora.rank", o.lora.rank)
      .given("warm_start.steps", o.warm_start.steps)
      .or_else("set warm_start.steps = 0, and model.path to what a warm start has left");
}

void validate_reward(const RewardOptions& reward) {
  const bool wants_parts = reward.kind == "parts";
  Rule(wants_parts || reward.parts.empty(), "reward.parts is for reward.kind = \"parts\"")
      .given("reward.kind", reward.kind)
      .given("reward.parts", fmt::format("{} of them", reward.parts.size()))
      .or_else("set reward.kind = \"parts\", or leave reward.parts out");
  Rule(!wants_parts || !reward.parts.empty(), "reward.parts is empty")
      .given("reward.kind", reward.kind)
      .or_else("for example reward.parts = [\"0.9*math\", \"0.1*tags:think,answer\"]");
}

void validate_run_directory(const TrainOptions& train) {
  Rule(!train.run_dir.empty(), "a run needs a directory")
      .given("train.run_dir", "\"\"")
      .or_else("set train.run_dir, for example to runs/first");
}

}  // namespace

void validate(const RunOptions& options) {
  const int64_t response = longest_response(options.rollout, options.stop);
  validate_rollout(options.rollout, options.stop);
  Rule(!options.model.random_weights || !options.model.path.empty(),
       "model.random_weights needs a directory to take the configuration from")
      .given("model.random_weights", true)
      .given("model.path", "\"\"")
      .or_else("set model.path; without it the weights are fresh anyway");
  Rule(options.engine.max_rows <= options.engine.max_step_tokens,
       "engine.max_rows must not exceed engine.max_step_tokens")
      .given("engine.max_rows", options.engine.max_rows)
      .given("engine.max_step_tokens", options.engine.max_step_tokens)
      .or_else("each row decodes one token of a step");
  Rule(options.reward.overlong_tokens <= response,
       "reward.overlong_tokens must not exceed the longest response")
      .given("reward.overlong_tokens", options.reward.overlong_tokens)
      .given("longest response", response)
      .or_else("otherwise even an empty response would be punished for its length");
  Rule(options.evaluate.samples > 0 || options.evaluate.greedy, "evaluation would answer nothing")
      .given("evaluate.samples", options.evaluate.samples)
      .given("evaluate.greedy", options.evaluate.greedy)
      .or_else("set one of them");
  validate_reward(options.reward);
  validate_objective(options.objective);
  validate_mismatch(options.objective, options.update);
  validate_reinforce_plus_plus(options);
  validate_advantage(options.advantage);
  validate_optimizer(options.optimizer);
  validate_updates(options);
  validate_lora(options);
}

void validate_for_training(const RunOptions& options) {
  validate(options);
  validate_tokens_per_step(options.rollout, options.train.queries_per_step);
  validate_sources(options);
  if (options.model.path.empty()) {
    validate_fresh_model(options.model);
    validate_room_for_prompt(options.model, longest_response(options.rollout, options.stop));
  }
  Rule(options.rollout.width > 1 || !options.train.dynamic_sampling,
       "one answer for each query always has equal scores, so that every query would be replaced")
      .given("rollout.width", options.rollout.width)
      .given("train.dynamic_sampling", options.train.dynamic_sampling)
      .or_else("raise rollout.width, or set train.dynamic_sampling = false");
  validate_run_directory(options.train);
}

void validate_for_sft(const RunOptions& options) {
  validate(options);
  Rule(!options.sft.train.empty(), "there is nothing to learn from: sft.train is empty")
      .given("sft.train", "[]")
      .or_else("set sft.train to a file of chats {\"messages\"}, or of {\"prompt\", \"response\"}");
  Rule(options.warm_start.steps == 0,
       "a warm start belongs to reinforcement learning; supervised training is one itself")
      .given("warm_start.steps", options.warm_start.steps)
      .or_else("set warm_start.steps = 0");
  if (options.model.path.empty()) validate_fresh_model(options.model);
  validate_run_directory(options.train);
}

}  // namespace treepo
