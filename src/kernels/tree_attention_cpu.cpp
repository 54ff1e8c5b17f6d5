#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "kernels/aligned_vector.h"
#include "kernels/bfloat16.h"
#include "kernels/isa.h"
#include "kernels/parallel.h"
#include "kernels/tree_attention.h"
#include "kernels/tree_chunk.h"

#define TREEPO_KERNEL_BODY "kernels/tree_attention.inc"
#include "kernels/each_isa.inc"

namespace treepo {

namespace {

// A run is read in chunks of whole pieces. Chunk c of run r leaves one partial result for each of
// the run's pairs and heads: rows first_row + kv_head * pairs * group and on.
struct ChunkId {
  int32_t run, first_piece, num_pieces;
  int64_t first_key, first_row;
};

template <typename S>
class TreeAttention {
  using T = Arithmetic<S>;

 public:
  TreeAttention(const TreeAttentionWork& work, const AttentionShape& shape, T scale,
                const T* queries, int64_t query_stride, int32_t num_queries, const S* keys,
                const S* values)
      : work_(work),
        scale_(scale),
        queries_(queries),
        keys_(keys),
        values_(values),
        query_stride_(query_stride),
        num_queries_(num_queries),
        kv_heads_(shape.num_kv_heads),
        group_(shape.num_heads / shape.num_kv_heads),
        head_dim_(shape.head_dim) {
    constexpr int64_t lanes = 64 / sizeof(T);
    padded_dim_ = (head_dim_ + lanes - 1) / lanes * lanes;
    list_chunks();
    list_parts();
  }

  void run(T* out) {
    // Kept from call to call; several hundred KiB for a few hundred rows.
    thread_local AlignedVector<T> partial;
    const auto needed = static_cast<size_t>(num_rows_ * (padded_dim_ + 2));
    if (partial.size() < needed) partial.resize(needed);
    sums_ = partial.data();
    largest_ = sums_ + num_rows_ * padded_dim_;
    totals_ = largest_ + num_rows_;

    const auto num_chunks = static_cast<int64_t>(chunks_.size());
    const int64_t operations = 2 * pair_keys_ * group_ * kv_heads_ * head_dim_ + 128 * num_rows_;
    constexpr int64_t kAtOnce = 4;
    const int64_t num_tasks = (num_chunks + kAtOnce - 1) / kAtOnce * kv_heads_;
    parallel_tasks(num_tasks, operations, [&](int64_t task) {
      // From both ends in turn: many queries share the first chunks of a tree, few the last ones,
      // and a thread that computes leaves memory to one that reads.
      task = task % 2 == 0 ? task / 2 : num_tasks - 1 - task / 2;
      const int64_t first = task / kv_heads_ * kAtOnce;
      const int64_t count = std::min(kAtOnce, num_chunks - first);
      TreeChunk<T, S> chunks[kAtOnce];
      for (int64_t c = 0; c < count; ++c)
        chunks[c] = make_chunk(chunks_[static_cast<size_t>(first + c)], task % kv_heads_);
      TREEPO_FOR_ISA(tree_chunks<T, S>)(chunks, count);
    });
    parallel_rows(num_queries_, num_rows_ * padded_dim_, [&](int64_t begin, int64_t end) {
      thread_local AlignedVector<T> weights;
      weights.resize(most_parts_ + 64 / sizeof(T));
      for (int64_t query = begin; query < end; ++query) {
        const int64_t first = part_begin_[static_cast<size_t>(query)];
        TREEPO_FOR_ISA(merge_parts<T>)
        (parts_.data() + first, part_begin_[static_cast<size_t>(query) + 1] - first, kv_heads_,
         group_, largest_, totals_, sums_, head_dim_, padded_dim_, weights.data(),
         out + query * kv_heads_ * group_ * head_dim_);
      }
    });
  }

 private:
  int64_t run_pairs(int32_t run) const {
    const auto at = static_cast<size_t>(run);
    return work_.run_pair_begin[at + 1] - work_.run_pair_begin[at];
  }

  void list_chunks() {
    for (int32_t run = 0; run < work_.num_runs(); ++run) {
      const auto at = static_cast<size_t>(run);
      const int32_t end = work_.run_piece_begin[at + 1];
      int64_t key = 0;
      for (int32_t piece = work_.run_piece_begin[at]; piece < end;) {
        ChunkId chunk = {run, piece, 0, key, num_rows_};
        int64_t tokens = 0;
        do tokens += work_.piece_tokens[static_cast<size_t>(piece++)];
        while (piece < end &&
               tokens + work_.piece_tokens[static_cast<size_t>(piece)] <= kTreeChunk);
        chunk.num_pieces = piece - chunk.first_piece;
        chunks_.push_back(chunk);
        key += tokens;
        num_rows_ += run_pairs(run) * group_ * kv_heads_;
      }
      pair_keys_ += run_pairs(run) * work_.run_tokens[at];
    }
  }

  // Calls f(query, part) for each partial result, those of one query in the order of the runs.
  template <typename F>
  void for_each_part(const F& f) const {
    for (const ChunkId& chunk : chunks_) {
      const int32_t first = work_.run_pair_begin[static_cast<size_t>(chunk.run)];
      const int64_t pairs = run_pairs(chunk.run);
      for (int32_t i = 0; i < pairs; ++i) {
        const auto pair = static_cast<size_t>(first + i);
        if (work_.pair_visible[pair] > chunk.first_key)
          f(static_cast<size_t>(work_.pair_query[pair]),
            TreePart{.base = chunk.first_row + i * group_, .kv_stride = pairs * group_});
      }
    }
  }

  void list_parts() {
    std::vector<int64_t> counts(static_cast<size_t>(num_queries_));
    for_each_part([&](size_t query, const TreePart&) { ++counts[query]; });
    part_begin_.assign(1, 0);
    for (const int64_t count : counts) {
      part_begin_.push_back(part_begin_.back() + count);
      most_parts_ = std::max(most_parts_, static_cast<size_t>(count));
    }
    parts_.resize(static_cast<size_t>(part_begin_.back()));
    std::vector<int64_t> next(part_begin_.begin(), part_begin_.end() - 1);
    for_each_part([&](size_t query, const TreePart& part) {
      parts_[static_cast<size_t>(next[query]++)] = part;
    });
  }

  // Its scratch is the calling thread's.
  TreeChunk<T, S> make_chunk(const ChunkId& id, int64_t kv_head) const {
    const int32_t first_pair = work_.run_pair_begin[static_cast<size_t>(id.run)];
    const int64_t first_row = id.first_row + kv_head * run_pairs(id.run) * group_;
    const int64_t page_head = work_.page_tokens * head_dim_;
    thread_local AlignedVector<T> scratch;
    scratch.resize(static_cast<size_t>(2 * kTreeTile * padded_dim_));
    return {.pair_query = work_.pair_query.data() + first_pair,
            .pair_visible = work_.pair_visible.data() + first_pair,
            .num_pairs = run_pairs(id.run),
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
            .largest = largest_ + first_row,
            .totals = totals_ + first_row,
            .sums = sums_ + first_row * padded_dim_};
  }

  const TreeAttentionWork& work_;
  T scale_;
  const T* queries_;
  const S *keys_, *values_;
  int64_t query_stride_, num_queries_, kv_heads_, group_, head_dim_, padded_dim_ = 0;
  std::vector<ChunkId> chunks_;
  std::vector<int64_t> part_begin_;  // [queries + 1]
  std::vector<TreePart> parts_;
  size_t most_parts_ = 0;  // of one query
  int64_t num_rows_ = 0, pair_keys_ = 0;
  T *sums_ = nullptr, *largest_ = nullptr, *totals_ = nullptr;  // [num_rows], sums of padded_dim
};

}  // namespace

template <typename S>
void tree_attention_cpu(const TreeAttentionWork& work, const AttentionShape& shape,
                        Arithmetic<S> scale, const Arithmetic<S>* queries, int64_t query_stride,
                        int32_t num_queries, const S* keys, const S* values, Arithmetic<S>* out) {
  TREEPO_CHECK(shape.num_kv_heads > 0 && shape.num_heads % shape.num_kv_heads == 0 &&
                   shape.head_dim > 0 && work.page_tokens > 0,
               "{} heads, {} key/value heads of {}, pages of {}", shape.num_heads,
               shape.num_kv_heads, shape.head_dim, work.page_tokens);
  TreeAttention<S>(work, shape, scale, queries, query_stride, num_queries, keys, values).run(out);
}

#define TREEPO_INSTANTIATE(S)                                                                \
  template void tree_attention_cpu<S>(const TreeAttentionWork&, const AttentionShape&,       \
                                      Arithmetic<S>, const Arithmetic<S>*, int64_t, int32_t, \
                                      const S*, const S*, Arithmetic<S>*);
TREEPO_INSTANTIATE(float)
TREEPO_INSTANTIATE(double)
TREEPO_INSTANTIATE(BFloat16)
#undef TREEPO_INSTANTIATE

}  // namespace treepo
