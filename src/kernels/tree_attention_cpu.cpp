#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <utility>
#include <vector>

#include "base/error.h"
#include "kernels/aligned_vector.h"
#include "kernels/bfloat16.h"
#include "kernels/isa.h"
#include "kernels/parallel.h"
#include "kernels/tree_attention_plan.h"
#include "kernels/tree_chunk.h"

#define TREEPO_KERNEL_BODY "kernels/tree_attention.inc"
#include "kernels/each_isa.inc"

namespace treepo {

namespace {

template <typename S>
class TreeAttention {
  using T = Arithmetic<S>;

 public:
  TreeAttention(const TreeAttentionPlan& plan, const TreeAttentionWork& work,
                const AttentionShape& shape, T scale, const T* queries, int64_t query_stride,
                const S* keys, const S* values)
      : plan_(plan),
        work_(work),
        scale_(scale * std::numbers::log2e_v<T>),
        queries_(queries),
        keys_(keys),
        values_(values),
        query_stride_(query_stride),
        kv_heads_(shape.num_kv_heads),
        group_(shape.num_heads / shape.num_kv_heads),
        head_dim_(shape.head_dim) {
    TREEPO_CHECK(scale > 0, "attention scores are scaled by {}", scale);
    constexpr int64_t lanes = 64 / sizeof(T);
    padded_dim_ = (head_dim_ + lanes - 1) / lanes * lanes;
  }

  void run(T* out) {
    // Kept from call to call; several hundred KiB for a few hundred rows.
    thread_local AlignedVector<T> partial;
    const int64_t num_rows = plan_.num_rows();
    const auto needed = static_cast<size_t>(num_rows * (padded_dim_ + 2));
    if (partial.size() < needed) partial.resize(needed);
    sums_ = partial.data();
    reference_ = sums_ + num_rows * padded_dim_;
    totals_ = reference_ + num_rows;

    const int64_t operations =
        2 * plan_.pair_keys() * group_ * kv_heads_ * head_dim_ + 128 * num_rows;
    // Some threads work on keys of many queries, which is arithmetic, while others work on keys of
    // few, which is reading.
    parallel_from_both_ends(plan_.num_tasks() * kv_heads_, operations, [&](int64_t task) {
      const int64_t first = plan_.task_begin(task / kv_heads_);
      const int64_t count = plan_.task_begin(task / kv_heads_ + 1) - first;
      TreeChunk<T, S> chunks[kTreeTaskChunks];
      for (int64_t c = 0; c < count; ++c)
        chunks[c] = make_chunk(plan_.chunks()[static_cast<size_t>(first + c)], task % kv_heads_);
      TREEPO_FOR_ISA(tree_chunks<T, S>)(chunks, count);
    });
    parallel_rows(plan_.num_queries(), num_rows * padded_dim_, [&](int64_t begin, int64_t end) {
      thread_local AlignedVector<T> weights;
      weights.resize(plan_.most_parts() + 64 / sizeof(T));
      for (int64_t query = begin; query < end; ++query) TREEPO_FOR_ISA(merge_parts<T>)
      (plan_.parts(query), plan_.num_parts(query), kv_heads_, group_, reference_, totals_, sums_,
       head_dim_, padded_dim_, weights.data(), out + query * kv_heads_ * group_ * head_dim_);
    });
  }

 private:
  // Its scratch is the calling thread's.
  TreeChunk<T, S> make_chunk(const TreeAttentionPlan::Chunk& id, int64_t kv_head) const {
    const int32_t first_pair = work_.run_pair_begin[static_cast<size_t>(id.run)];
    const int64_t pairs = work_.run_pair_begin[static_cast<size_t>(id.run) + 1] - first_pair;
    const int64_t first_row = id.first_row + kv_head * pairs * group_;
    const int64_t page_head = work_.page_tokens * head_dim_;
    thread_local AlignedVector<T> scratch;
    scratch.resize(static_cast<size_t>(kTreeTile * padded_dim_));
    return {.pair_query = work_.pair_query.data() + first_pair,
            .pair_visible = work_.pair_visible.data() + first_pair,
            .num_pairs = pairs,
            .first_key = id.first_key,
            .piece_page = work_.piece_page.data() + id.first_piece,
            .piece_tokens = work_.piece_tokens.data() + id.first_piece,
            .num_pieces = id.num_pieces,
            .group = group_,
            .head_dim = head_dim_,
            .padded_dim = padded_dim_,
            .page_tokens = work_.page_tokens,
            .queries = queries_ + kv_head * group_ * head_dim_,
            .query_stride = query_stride_,
            .keys = keys_ + kv_head * page_head,
            .values = values_ + kv_head * page_head,
            .page_stride = kv_heads_ * page_head,
            .scale = scale_,
            .scratch = scratch.data(),
            .reference = reference_ + first_row,
            .totals = totals_ + first_row,
            .sums = sums_ + first_row * padded_dim_};
  }

  const TreeAttentionPlan& plan_;
  const TreeAttentionWork& work_;
  T scale_;
  const T* queries_;
  const S *keys_, *values_;
  int64_t query_stride_, kv_heads_, group_, head_dim_, padded_dim_ = 0;
  T *sums_ = nullptr, *reference_ = nullptr, *totals_ = nullptr;  // [num_rows], sums of padded_dim
};

}  // namespace

template <typename S>
void tree_attention_cpu(const TreeAttentionPlan& plan, const TreeAttentionWork& work,
                        const AttentionShape& shape, Arithmetic<S> scale,
                        const Arithmetic<S>* queries, int64_t query_stride, const S* keys,
                        const S* values, Arithmetic<S>* out) {
  TreeAttention<S>(plan, work, shape, scale, queries, query_stride, keys, values).run(out);
}

#define TREEPO_INSTANTIATE(S)                                                                     \
  template void tree_attention_cpu<S>(const TreeAttentionPlan&, const TreeAttentionWork&,         \
                                      const AttentionShape&, Arithmetic<S>, const Arithmetic<S>*, \
                                      int64_t, const S*, const S*, Arithmetic<S>*);
TREEPO_INSTANTIATE(float)
TREEPO_INSTANTIATE(double)
TREEPO_INSTANTIATE(BFloat16)
#undef TREEPO_INSTANTIATE

}  // namespace treepo
