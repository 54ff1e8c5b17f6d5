#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "config/options.h"
#include "model/memory_plan.h"

namespace treepo {

// What one run needs and what limits it, before anything is allocated. Bytes unless said otherwise.
struct RunPlan {
  // Sampling. Pages: keys and values of engine.page_tokens tokens, all layers.
  int64_t num_queries = 0, prompt_tokens = 0;  // sampled together; of the longest prompt
  int64_t response_tokens = 0, width = 0, page_tokens = 0;
  int64_t parameters = 0, weights = 0;      // weights with the table of rotations
  int64_t token_bytes = 0, page_bytes = 0;  // keys and values
  int64_t path_pages = 0, tree_pages = 0;   // at most
  int64_t all_pages = 0;                    // of all trees together
  int64_t affordable_pages = 0;             // that engine.cache_mib pays for
  int64_t pool_pages = 0;                   // that are made: no more than all trees can fill
  int64_t path_mib = 0, tree_mib = 0, all_mib = 0;  // engine.cache_mib that would do for each
  int64_t pool = 0;
  int64_t max_rows = 0;  // paths that decode in one step
  // Trees at once where all have `width` paths, as rows and pages allow. Trees that have just begun
  // have fewer, so that more begin together.
  int64_t trees_by_rows = 0, trees_by_pages = 0, trees_at_once = 0;
  int64_t trees_at_first = 0;  // with first_split paths each, pages for their first segments
  std::string trees_limit;     // the option that decides trees_at_once
  int64_t step_activations = 0, step_logits = 0;

  // The update.
  int64_t gradients = 0, optimizer = 0, reference = 0;
  int64_t saved_per_token = 0, packed_tokens = 0, saved = 0;
  int64_t logit_chunk = 0, layer_backward = 0;

  // At the worst moment. Pages stay while an update runs.
  int64_t sampling_total() const {
    return weights + pool + std::max(step_activations, step_logits);
  }
  int64_t training_total() const {
    return weights + gradients + optimizer + reference + pool +
           std::max(std::max(step_activations, step_logits),
                    saved + std::max(logit_chunk, layer_backward));
  }

  // Whether one path fits in the cache: without that sampling refuses to start.
  bool can_sample() const { return path_pages <= affordable_pages; }
};

// num_queries are sampled together with prompts of up to prompt_tokens. `device` of the model:
// where the memory is taken; its lora and checkpoint_layers are those of the options.
RunPlan plan_run(MemoryModel model, const RunOptions& options, int64_t num_queries,
                 int64_t prompt_tokens);

}  // namespace treepo
