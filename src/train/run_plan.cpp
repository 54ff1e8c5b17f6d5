#include "train/run_plan.h"

#include <algorithm>

#include "base/arithmetic.h"
#include "model/device.h"  // is_checked_device
#include "rollout/cache_plan.h"
#include "tree/budget.h"
#include "tree/stop_rules.h"

namespace treepo {

namespace {

void plan_pages(const RunOptions& options, RunPlan& plan) {
  const StopRules rules = make_stop_rules(options.rollout, options.stop);
  plan.path_pages = pages_of_path(plan.prompt_tokens, rules, plan.page_tokens);
  plan.tree_pages = pages_of_tree(plan.prompt_tokens, rules, plan.page_tokens, plan.width);
  plan.all_pages = plan.num_queries * plan.tree_pages;
  plan.affordable_pages = affordable_pages(options.engine, plan.page_bytes);
  plan.pool_pages = std::min(plan.affordable_pages, plan.all_pages);
  plan.path_mib = cache_mib_for(plan.path_pages, plan.page_bytes);
  plan.tree_mib = cache_mib_for(plan.tree_pages, plan.page_bytes);
  plan.all_mib = cache_mib_for(plan.all_pages, plan.page_bytes);
  plan.pool = plan.pool_pages * plan.page_bytes;
}

// Trees enter while paths are fewer than rows and pages are at hand: Scheduler::may_admit.
int64_t trees_at_first(const RunOptions& options, const RunPlan& plan) {
  const GrowthFacts facts = {.trees = plan.num_queries};
  const int32_t paths = largest_first_split(options.rollout, facts);
  const int64_t segment = std::min(options.rollout.segment_tokens, plan.response_tokens);
  const int64_t next_pages =
      largest_next_budget(options.rollout, facts, paths, 0) * divide_up(segment, plan.page_tokens);
  const int64_t prompt_pages = divide_up(plan.prompt_tokens, plan.page_tokens);
  const int64_t by_rows = divide_up(plan.max_rows, int64_t{paths});
  const int64_t by_pages = (plan.pool_pages - prompt_pages) / next_pages;
  return std::clamp<int64_t>(std::min(by_rows, by_pages), 1, plan.num_queries);
}

void plan_trees(const RunOptions& options, RunPlan& plan) {
  plan.trees_by_rows = divide_up(plan.max_rows, plan.width);
  plan.trees_by_pages = plan.affordable_pages / plan.tree_pages;
  plan.trees_at_once = std::min(plan.num_queries, plan.trees_by_rows);
  plan.trees_limit = plan.num_queries <= plan.trees_by_rows ? "" : "engine.max_rows";
  if (plan.trees_by_pages < plan.trees_at_once) {
    plan.trees_at_once = plan.can_sample() ? std::max<int64_t>(1, plan.trees_by_pages) : 0;
    plan.trees_limit = "engine.cache_mib";
  }
  plan.trees_at_first = plan.can_sample() ? trees_at_first(options, plan) : 0;
}

// A second model with pages of its own beside the first.
int64_t models(const RunOptions& options) {
  return is_checked_device(options.model.device) ? 2 : 1;
}

int64_t reference_bytes(MemoryModel model, const RunOptions& options) {
  if (options.objective.kl_beta == 0 || options.lora.rank > 0) return 0;
  if (options.objective.reference_dtype == "bfloat16") model.dtype = c10::kBFloat16;
  return model.weight_bytes() + model.rope_table_bytes();
}

// Packs are filled up to update.max_tokens, but no path is cut.
int64_t packed_tokens(const RunOptions& options, const RunPlan& plan) {
  const int64_t path = plan.prompt_tokens + plan.response_tokens;
  const int64_t tree = options.update.packed
                           ? plan.prompt_tokens + plan.width * plan.response_tokens
                           : plan.width * path;
  return std::min(std::max(options.update.max_tokens, path), plan.num_queries * tree);
}

}  // namespace

RunPlan plan_run(MemoryModel model, const RunOptions& options, int64_t num_queries,
                 int64_t prompt_tokens) {
  model.lora = options.lora;
  model.checkpoint_layers = options.update.checkpoint_layers;
  RunPlan plan;
  plan.num_queries = num_queries;
  plan.prompt_tokens = prompt_tokens;
  plan.response_tokens = longest_response(options.rollout, options.stop);
  plan.width = options.rollout.width;
  plan.page_tokens = options.engine.page_tokens;
  plan.parameters = model.parameters();
  plan.weights = model.weight_bytes() + model.rope_table_bytes();
  plan.token_bytes = models(options) * model.key_value_bytes_per_token();
  plan.page_bytes = plan.page_tokens * plan.token_bytes;
  plan.max_rows = std::min(options.engine.max_rows, options.engine.max_step_tokens);
  plan_pages(options, plan);
  plan_trees(options, plan);

  // A step takes prompts in pieces that fill it, as long as there are any.
  const int64_t step_tokens =
      std::min(options.engine.max_step_tokens, num_queries * (prompt_tokens + plan.width));
  plan.step_activations = model.step_activation_bytes(step_tokens);
  plan.step_logits = model.step_logit_bytes(std::min(plan.max_rows, num_queries * plan.width));

  plan.gradients = model.gradient_bytes();
  plan.optimizer = model.optimizer_bytes();
  plan.reference = reference_bytes(model, options);
  plan.packed_tokens = packed_tokens(options, plan);
  plan.saved_per_token = model.saved_bytes_per_token();
  plan.saved = plan.packed_tokens * plan.saved_per_token;
  plan.logit_chunk = model.logit_chunk_bytes(plan.packed_tokens, options.update.logit_chunk_tokens);
  plan.layer_backward = model.layer_backward_bytes(plan.packed_tokens);
  return plan;
}

}  // namespace treepo
