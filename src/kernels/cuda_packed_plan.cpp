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

// The tokens whose subtree the next token may lie in, as runs; their subtree_end falls.
class Path {
 public:
  explicit Path(std::span<const int32_t> subtree_end) : subtree_end_(subtree_end) {}

  bool empty() const { return runs_.empty(); }
  int32_t root() const { return runs_.front().first; }

  // Leaves those whose subtree `token` does not lie in.
  void drop_before(int32_t token) {
    while (!runs_.empty() && subtree_end_[at(last())] <= token) {
      if (--runs_.back().count == 0) runs_.pop_back();
      --size_;
    }
  }

  void push(int32_t token) {
    if (!runs_.empty() && last() + 1 == token)
      ++runs_.back().count;
    else
      runs_.push_back({.first = token, .count = 1, .at = 0});
    ++size_;
  }

  // Appends the path and then [first, end) to `runs`, as keys from `place` on; how many they are.
  int32_t list(int32_t first, int32_t end, int32_t place, std::vector<CudaKeyRun>& runs) const {
    int32_t count = 0;
    for (CudaKeyRun run : runs_) {
      run.at = place + count;
      count += run.count;
      runs.push_back(run);
    }
    runs.push_back({.first = first, .count = end - first, .at = place + count});
    return count + end - first;
  }

  // How many lead the path with a subtree of at least `end`.
  int32_t count_reaching(int32_t end) const {
    int32_t count = 0;
    for (const CudaKeyRun& run : runs_) {
      const auto ends = subtree_end_.subspan(at(run.first), at(run.count));
      if (ends.back() >= end) {
        count += run.count;
        continue;
      }
      const auto reaches = [end](int32_t subtree_end) { return subtree_end >= end; };
      return count + static_cast<int32_t>(std::partition_point(ends.begin(), ends.end(), reaches) -
                                          ends.begin());
    }
    return count;
  }

  int32_t size() const { return size_; }

 private:
  int32_t last() const { return runs_.back().first + runs_.back().count - 1; }

  std::span<const int32_t> subtree_end_;
  std::vector<CudaKeyRun> runs_;
  int32_t size_ = 0;
};

void list_blocks(std::span<const int32_t> subtree_end, int32_t block_tokens, CudaPackedPlan& plan) {
  const auto num_tokens = static_cast<int32_t>(subtree_end.size());
  Path path(subtree_end);
  int64_t num_keys = 0;
  for (int32_t first = 0; first < num_tokens;) {
    path.drop_before(first);
    const int32_t root = path.empty() ? first : path.root();
    const int32_t end = std::min(first + block_tokens, subtree_end[at(root)]);
    TREEPO_CHECK(end > first, "token {} has an empty subtree", root);
    CudaQueryBlock block = {.first = first,
                            .end = end,
                            .first_key = static_cast<int32_t>(num_keys),
                            .num_keys = 0,
                            .num_full = path.count_reaching(end)};
    if (block.num_full == path.size() && subtree_end[at(first)] >= end) ++block.num_full;
    block.num_keys = path.list(first, end, block.first_key, plan.key_runs);
    plan.blocks.push_back(block);
    num_keys += block.num_keys;
    TREEPO_CHECK(num_keys < (int64_t{1} << 31), "{} keys of blocks", num_keys);
    for (int32_t token = first; token < end; ++token) {
      path.drop_before(token);
      path.push(token);
    }
    first = end;
  }
  plan.num_keys = static_cast<int32_t>(num_keys);
  std::stable_sort(
      plan.blocks.begin(), plan.blocks.end(),
      [](const CudaQueryBlock& a, const CudaQueryBlock& b) { return a.num_keys > b.num_keys; });
}

void list_key_tasks(std::span<const int32_t> subtree_end, int64_t wanted_tasks,
                    CudaPackedPlan& plan) {
  const auto num_tokens = static_cast<int32_t>(subtree_end.size());
  std::vector<int32_t> ends;
  int64_t all = 0;
  for (int32_t first = 0; first < num_tokens; first += kCudaKeyBlock) {
    const auto begin = subtree_end.begin() + first;
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

CudaPackedPlan plan_cuda_packed(std::span<const int32_t> subtree_end, const AttentionShape& shape,
                                int32_t wanted_blocks) {
  CudaPackedPlan made;
  list_blocks(subtree_end, cuda_packed_block(shape), made);
  list_key_tasks(subtree_end, std::max(1, kTasksEach * wanted_blocks / shape.num_kv_heads), made);
  return made;
}

}  // namespace treepo
