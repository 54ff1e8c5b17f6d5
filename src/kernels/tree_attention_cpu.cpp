#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/error.h"
#include "kernels/isa.h"
#include "kernels/parallel.h"
#include "kernels/tree_attention.h"
#include "kernels/tree_chunk.h"

#define TREEPO_KERNEL_BODY "kernels/tree_attention.inc"
#include "kernels/each_isa.inc"

namespace treepo {

namespace {

// A run is read in chunks of kTreeChunk keys. Chunk c of run r leaves one partial result for each
// of the run's pairs and heads: rows [first_row(r, c, kv head), + pairs * group).
struct ChunkId {
  int32_t run;
  int32_t first_piece, skipped_tokens;  // where its first key lies
  int64_t first_key, first_row;
};

template <typename T>
class TreeAttention {
 public:
  TreeAttention(const TreeAttentionWork& work, const AttentionShape& shape, T scale,
                const T* queries, int64_t query_stride, int32_t num_queries, const T* keys,
                const T* values)
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
    // Partial results of one step, kept from call to call.
    thread_local std::vector<T> partial;
    const auto needed = static_cast<size_t>(num_rows_ * (padded_dim_ + 2));
    if (partial.size() < needed) partial.resize(needed);
    sums_ = partial.data();
    largest_ = sums_ + num_rows_ * padded_dim_;
    totals_ = largest_ + num_rows_;

    const auto tasks = static_cast<int64_t>(chunks_.size()) * kv_heads_;
    constexpr int64_t kTasksAtOnce = 8;
    const int64_t work = pair_keys_ * group_ * kv_heads_ * head_dim_ / 8 + tasks * 1024;
    parallel_tasks((tasks + kTasksAtOnce - 1) / kTasksAtOnce, work, [&](int64_t batch) {
      const int64_t end = std::min(tasks, (batch + 1) * kTasksAtOnce);
      for (int64_t task = batch * kTasksAtOnce; task < end; ++task)
        run_chunk(chunks_[static_cast<size_t>(task / kv_heads_)], task % kv_heads_);
    });
    const int64_t heads = kv_heads_ * group_;
    parallel_rows(num_queries_ * heads, num_rows_ * padded_dim_ / 4,
                  [&](int64_t begin, int64_t end) {
                    for (int64_t row = begin; row < end; ++row)
                      merge(row / heads, row % heads, out + row * head_dim_);
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
      int32_t piece = work_.run_piece_begin[at], skipped = 0;
      run_chunk_begin_.push_back(static_cast<int32_t>(chunks_.size()));
      for (int64_t key = 0; key < work_.run_tokens[at]; key += kTreeChunk) {
        chunks_.push_back({run, piece, skipped, key, num_rows_});
        num_rows_ += run_pairs(run) * group_ * kv_heads_;
        for (int64_t left = kTreeChunk; left > 0 && piece < work_.run_piece_begin[at + 1];) {
          const int64_t here = work_.piece_tokens[static_cast<size_t>(piece)] - skipped;
          if (here > left) {
            skipped += static_cast<int32_t>(left);
            break;
          }
          left -= here;
          skipped = 0;
          ++piece;
        }
      }
      pair_keys_ += run_pairs(run) * work_.run_tokens[at];
    }
    run_chunk_begin_.push_back(static_cast<int32_t>(chunks_.size()));
  }

  // For each query, in the order of the runs: the pairs in which it occurs.
  void list_parts() {
    query_pair_begin_.assign(static_cast<size_t>(num_queries_) + 1, 0);
    for (const int32_t query : work_.pair_query)
      ++query_pair_begin_[static_cast<size_t>(query) + 1];
    for (size_t q = 0; q < static_cast<size_t>(num_queries_); ++q)
      query_pair_begin_[q + 1] += query_pair_begin_[q];
    std::vector<int32_t> next(query_pair_begin_.begin(), query_pair_begin_.end() - 1);
    query_pairs_.resize(work_.pair_query.size());
    for (int32_t run = 0; run < work_.num_runs(); ++run)
      for (int32_t pair = work_.run_pair_begin[static_cast<size_t>(run)];
           pair < work_.run_pair_begin[static_cast<size_t>(run) + 1]; ++pair) {
        const auto query = static_cast<size_t>(work_.pair_query[static_cast<size_t>(pair)]);
        query_pairs_[static_cast<size_t>(next[query]++)] = {run, pair};
      }
  }

  void run_chunk(const ChunkId& id, int64_t kv_head) {
    const auto run = static_cast<size_t>(id.run);
    const int64_t pair = work_.run_pair_begin[run];
    const int64_t first_row = id.first_row + kv_head * run_pairs(id.run) * group_;
    TreeChunk<T> chunk = {
        .pair_query = work_.pair_query.data() + pair,
        .pair_visible = work_.pair_visible.data() + pair,
        .num_pairs = run_pairs(id.run),
        .first_key = id.first_key,
        .num_keys = std::min<int64_t>(kTreeChunk, work_.run_tokens[run] - id.first_key),
        .piece_page = work_.piece_page.data() + id.first_piece,
        .piece_tokens = work_.piece_tokens.data() + id.first_piece,
        .skipped_tokens = id.skipped_tokens,
        .group = group_,
        .head_dim = head_dim_,
        .padded_dim = padded_dim_,
        .page_tokens = work_.page_tokens,
        .queries = queries_ + kv_head * group_ * head_dim_,
        .query_stride = query_stride_,
        .keys = keys_ + kv_head * work_.page_tokens * head_dim_,
        .values = values_ + kv_head * work_.page_tokens * head_dim_,
        .page_stride = kv_heads_ * work_.page_tokens * head_dim_,
        .scale = scale_,
        .largest = largest_ + first_row,
        .totals = totals_ + first_row,
        .sums = sums_ + first_row * padded_dim_,
        .scratch = nullptr};
    thread_local std::vector<T> scratch;
    if (const auto needed = static_cast<size_t>(chunk.scratch_elements()); scratch.size() < needed)
      scratch.resize(needed);
    chunk.scratch = scratch.data();
    TREEPO_FOR_ISA(tree_chunk<T>)(chunk);
  }

  void merge(int64_t query, int64_t head, T* out) const {
    thread_local std::vector<int64_t> parts;
    thread_local std::vector<T> weights;
    parts.clear();
    for (int32_t i = query_pair_begin_[static_cast<size_t>(query)];
         i < query_pair_begin_[static_cast<size_t>(query) + 1]; ++i) {
      const auto [run, pair] = query_pairs_[static_cast<size_t>(i)];
      const int64_t local = pair - work_.run_pair_begin[static_cast<size_t>(run)];
      const int64_t visible = work_.pair_visible[static_cast<size_t>(pair)];
      for (int32_t c = run_chunk_begin_[static_cast<size_t>(run)];
           c < run_chunk_begin_[static_cast<size_t>(run) + 1]; ++c) {
        const ChunkId& chunk = chunks_[static_cast<size_t>(c)];
        if (chunk.first_key >= visible) break;
        parts.push_back(chunk.first_row + ((head / group_) * run_pairs(run) + local) * group_ +
                        head % group_);
      }
    }
    constexpr size_t lanes = 64 / sizeof(T);
    weights.resize((parts.size() + lanes - 1) / lanes * lanes);
    TREEPO_FOR_ISA(merge_parts<T>)
    (parts.data(), static_cast<int64_t>(parts.size()), largest_, totals_, sums_, head_dim_,
     padded_dim_, weights.data(), out);
  }

  struct RunPair {
    int32_t run, pair;
  };

  const TreeAttentionWork& work_;
  T scale_;
  const T *queries_, *keys_, *values_;
  int64_t query_stride_, num_queries_, kv_heads_, group_, head_dim_, padded_dim_ = 0;
  std::vector<ChunkId> chunks_;
  std::vector<int32_t> run_chunk_begin_;   // [runs + 1]
  std::vector<int32_t> query_pair_begin_;  // [queries + 1]
  std::vector<RunPair> query_pairs_;       // [pairs]
  int64_t num_rows_ = 0, pair_keys_ = 0;
  T *sums_ = nullptr, *largest_ = nullptr, *totals_ = nullptr;  // [num_rows], sums of padded_dim
};

}  // namespace

template <typename T>
void tree_attention_cpu(const TreeAttentionWork& work, const AttentionShape& shape, T scale,
                        const T* queries, int64_t query_stride, int32_t num_queries, const T* keys,
                        const T* values, T* out) {
  TREEPO_CHECK(shape.num_kv_heads > 0 && shape.num_heads % shape.num_kv_heads == 0 &&
                   shape.head_dim > 0 && work.page_tokens > 0,
               "{} heads, {} key/value heads of {}, pages of {}", shape.num_heads,
               shape.num_kv_heads, shape.head_dim, work.page_tokens);
  TreeAttention<T>(work, shape, scale, queries, query_stride, num_queries, keys, values).run(out);
}

template void tree_attention_cpu<float>(const TreeAttentionWork&, const AttentionShape&, float,
                                        const float*, int64_t, int32_t, const float*, const float*,
                                        float*);
template void tree_attention_cpu<double>(const TreeAttentionWork&, const AttentionShape&, double,
                                         const double*, int64_t, int32_t, const double*,
                                         const double*, double*);

}  // namespace treepo
