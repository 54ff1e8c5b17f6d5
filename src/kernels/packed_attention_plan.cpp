#include <algorithm>

#include "base/error.h"
#include "kernels/packed_attention.h"

namespace treepo {

PackedAttentionPlan plan_packed_attention(std::span<const int32_t> subtree_end,
                                          int32_t block_tokens) {
  TREEPO_CHECK(block_tokens > 0, "blocks of {} tokens", block_tokens);
  const auto num_tokens = static_cast<int32_t>(subtree_end.size());
  PackedAttentionPlan plan;
  plan.subtree_end.assign(subtree_end.begin(), subtree_end.end());
  plan.block_begin = {0};
  plan.key_begin = {0};
  plan.tree_begin = {0};

  std::vector<int32_t> path;  // tokens whose subtree the next token may lie in
  for (int32_t first = 0; first < num_tokens;) {
    while (!path.empty() && plan.subtree_end[static_cast<size_t>(path.back())] <= first)
      path.pop_back();
    if (path.empty() && first > 0) plan.tree_begin.push_back(plan.num_blocks());
    const int32_t root = path.empty() ? first : path.front();
    const int32_t end = std::min(first + block_tokens, plan.subtree_end[static_cast<size_t>(root)]);
    TREEPO_CHECK(end > first, "token {} has an empty subtree", root);

    plan.keys.insert(plan.keys.end(), path.begin(), path.end());
    for (int32_t token = first; token < end; ++token) {
      plan.keys.push_back(token);
      while (!path.empty() && plan.subtree_end[static_cast<size_t>(path.back())] <= token)
        path.pop_back();
      path.push_back(token);
    }
    plan.block_begin.push_back(end);
    plan.key_begin.push_back(static_cast<int64_t>(plan.keys.size()));
    first = end;
  }
  if (num_tokens > 0) plan.tree_begin.push_back(plan.num_blocks());
  return plan;
}

}  // namespace treepo
