#include "kernels/cuda_packed_plan.h"

#include <algorithm>

#include "base/error.h"

namespace treepo {

namespace {

constexpr int32_t kRows = 64;      // (query, head) of a tile
constexpr int32_t kTasksEach = 2;  // so that the last tasks leave few multiprocessors idle

size_t at(int32_t i) {
  return static_cast<size_t>(i);
}

void list_blocks(const PackedAttentionPlan& from, CudaPackedPlan& plan) {
  TREEPO_CHECK(from.keys.size() < (size_t{1} << 31), "{} keys of blocks", from.keys.size());
  for (int32_t block = 0; block < from.num_blocks(); ++block) {
    CudaQueryBlock made = {.first = from.block_begin[at(block)],
                           .end = from.block_begin[at(block) + 1],
                           .first_key = static_cast<int32_t>(from.key_begin[at(block)]),
                           .num_keys = 0,
                           .num_full = 0};
    made.num_keys = static_cast<int32_t>(from.key_begin[at(block) + 1]) - made.first_key;
    while (made.num_full < made.num_keys) {
      const int32_t key = from.keys[at(made.first_key + made.num_full)];
      if (key > made.first || from.subtree_end[at(key)] < made.end) break;
      ++made.num_full;
    }
    plan.blocks.push_back(made);
  }
  std::stable_sort(
      plan.blocks.begin(), plan.blocks.end(),
      [](const CudaQueryBlock& a, const CudaQueryBlock& b) { return a.num_keys > b.num_keys; });
}

void list_key_tasks(const PackedAttentionPlan& from, int64_t wanted_tasks, CudaPackedPlan& plan) {
  const int32_t num_tokens = from.num_tokens();
  std::vector<int32_t> ends;
  int64_t all = 0;
  for (int32_t first = 0; first < num_tokens; first += kCudaKeyBlock) {
    const auto begin = from.subtree_end.begin() + first;
    ends.push_back(*std::max_element(begin, begin + std::min(kCudaKeyBlock, num_tokens - first)));
    all += ends.back() - first;
  }
  constexpr int64_t kLeast = 256;
  const int64_t most = std::max(kLeast, (all + wanted_tasks - 1) / wanted_tasks);
  plan.key_task_begin = {0};
  for (size_t block = 0; block < ends.size(); ++block) {
    const auto first = static_cast<int32_t>(block) * kCudaKeyBlock;
    for (int64_t query = first; query < ends[block]; query += most)
      plan.key_tasks.push_back(
          {.first_key = first,
           .end_key = std::min(first + kCudaKeyBlock, num_tokens),
           .first_query = static_cast<int32_t>(query),
           .end_query = static_cast<int32_t>(std::min<int64_t>(query + most, ends[block])),
           .number = static_cast<int32_t>(plan.key_tasks.size())});
    plan.key_task_begin.push_back(static_cast<int32_t>(plan.key_tasks.size()));
  }
  std::stable_sort(plan.key_tasks.begin(), plan.key_tasks.end(),
                   [](const CudaKeyTask& a, const CudaKeyTask& b) {
                     return a.end_query - a.first_query > b.end_query - b.first_query;
                   });
}

}  // namespace

int32_t cuda_packed_block(const AttentionShape& shape) {
  return std::max(1, kRows / (shape.num_heads / shape.num_kv_heads));
}

CudaPackedPlan plan_cuda_packed(const PackedAttentionPlan& plan, const AttentionShape& shape,
                                int32_t wanted_blocks) {
  CudaPackedPlan made;
  list_blocks(plan, made);
  list_key_tasks(plan, std::max(1, kTasksEach * wanted_blocks / shape.num_kv_heads), made);
  return made;
}

}  // namespace treepo
