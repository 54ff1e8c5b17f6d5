#include "train/run_plan.h"

#include <algorithm>

#include "rollout/cache_plan.h"
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

// Trees enter while paths are fewer than rows and pages are at hand.
void plan_trees(RunPlan& plan) {
  plan.trees_by_rows = (plan.max_rows + plan.width - 1) / plan.width;
  plan.trees_by_pages = plan.affordable_pages / plan.tree_pages;
  plan.trees_at_once = std::min(plan.num_queries, plan.trees_by_rows);
  plan.trees_limit = plan.num_queries <= plan.trees_by_rows ? "" : "engine.max_rows";
  if (plan.trees_by_pages < plan.trees_at_once) {
    plan.trees_at_once = plan.can_sample() ? std::max<int64_t>(1, plan.trees_by_pages) : 0;
    plan.trees_limit = "engine.cache_mib";
  }
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
  plan.token_bytes = model.key_value_bytes_per_token();
  plan.page_bytes = plan.page_tokens * plan.token_bytes;
  plan.max_rows = std::min(options.engine.max_rows, options.engine.max_step_tokens);
  plan_pages(options, plan);
  plan_trees(plan);

  // A step takes prompts in pieces that fill it, as long as there are any.
  const int64_t step_tokens =
      std::min(options.engine.max_step_tokens, num_queries * (prompt_tokens + plan.width));
  plan.step_activations = model.step_activation_bytes(step_tokens);
  plan.step_logits = model.step_logit_bytes(std::min(plan.max_rows, num_queries * plan.width));

  plan.gradients = model.gradient_bytes();
  plan.optimizer = model.optimizer_bytes();
  plan.reference = options.objective.kl_beta > 0 && options.lora.rank == 0 ? plan.weights : 0;
  plan.packed_tokens = std::min(options.update.max_tokens,
                                num_queries * (prompt_tokens + plan.width * plan.response_tokens));
  plan.saved_per_token = model.saved_bytes_per_token();
  plan.saved = plan.packed_tokens * plan.saved_per_token;
  plan.logit_chunk = model.logit_chunk_bytes(plan.packed_tokens, options.update.logit_chunk_tokens);
  plan.layer_backward = model.layer_backward_bytes(plan.packed_tokens);
  return plan;
}

}  // namespace treepo
