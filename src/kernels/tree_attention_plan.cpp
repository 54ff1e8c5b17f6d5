#include "kernels/tree_attention_plan.h"

#include <algorithm>

#include "base/error.h"

namespace treepo {

namespace {

int64_t pairs_of(const TreeAttentionWork& work, int32_t run) {
  const auto at = static_cast<size_t>(run);
  return work.run_pair_begin[at + 1] - work.run_pair_begin[at];
}

}  // namespace

void TreeAttentionPlan::make(const TreeAttentionWork& work, const AttentionShape& shape,
                             int32_t num_queries) {
  TREEPO_CHECK(shape.num_kv_heads > 0 && shape.num_heads % shape.num_kv_heads == 0 &&
                   shape.head_dim > 0 && work.page_tokens > 0,
               "{} heads, {} key/value heads of {}, pages of {}", shape.num_heads,
               shape.num_kv_heads, shape.head_dim, work.page_tokens);
  group_ = shape.num_heads / shape.num_kv_heads;
  kv_heads_ = shape.num_kv_heads;
  num_queries_ = num_queries;
  list_chunks(work);
  list_parts(work);
  list_tasks(work);
}

void TreeAttentionPlan::list_chunks(const TreeAttentionWork& work) {
  chunks_.clear();
  num_rows_ = pair_keys_ = 0;
  for (int32_t run = 0; run < work.num_runs(); ++run) {
    const auto at = static_cast<size_t>(run);
    const int32_t end = work.run_piece_begin[at + 1];
    int64_t key = 0;
    for (int32_t piece = work.run_piece_begin[at]; piece < end;) {
      Chunk chunk = {run, piece, 0, key, num_rows_};
      int64_t tokens = 0;
      do tokens += work.piece_tokens[static_cast<size_t>(piece++)];
      while (piece < end && tokens + work.piece_tokens[static_cast<size_t>(piece)] <= kTreeChunk);
      chunk.num_pieces = piece - chunk.first_piece;
      chunks_.push_back(chunk);
      key += tokens;
      num_rows_ += pairs_of(work, run) * group_ * kv_heads_;
    }
    pair_keys_ += pairs_of(work, run) * work.run_tokens[at];
  }
}

// Calls f(query, part) for each partial result, those of one query in the order of the runs.
template <typename F>
void TreeAttentionPlan::for_each_part(const TreeAttentionWork& work, const F& f) const {
  for (const Chunk& chunk : chunks_) {
    const int32_t first = work.run_pair_begin[static_cast<size_t>(chunk.run)];
    const int64_t pairs = pairs_of(work, chunk.run);
    for (int32_t i = 0; i < pairs; ++i) {
      const auto pair = static_cast<size_t>(first + i);
      if (work.pair_visible[pair] > chunk.first_key)
        f(static_cast<size_t>(work.pair_query[pair]),
          TreePart{.base = chunk.first_row + i * group_, .kv_stride = pairs * group_});
    }
  }
}

void TreeAttentionPlan::list_parts(const TreeAttentionWork& work) {
  next_part_.assign(static_cast<size_t>(num_queries_), 0);
  for_each_part(work, [&](size_t query, const TreePart&) { ++next_part_[query]; });
  part_begin_.assign(1, 0);
  most_parts_ = 0;
  for (int64_t& count : next_part_) {
    most_parts_ = std::max(most_parts_, static_cast<size_t>(count));
    const int64_t begin = part_begin_.back();
    part_begin_.push_back(begin + count);
    count = begin;
  }
  parts_.resize(static_cast<size_t>(part_begin_.back()));
  for_each_part(work, [&](size_t query, const TreePart& part) {
    parts_[static_cast<size_t>(next_part_[query]++)] = part;
  });
}

void TreeAttentionPlan::list_tasks(const TreeAttentionWork& work) {
  std::sort(chunks_.begin(), chunks_.end(), [&](const Chunk& a, const Chunk& b) {
    const int64_t of_a = pairs_of(work, a.run), of_b = pairs_of(work, b.run);
    return of_a != of_b ? of_a > of_b : a.first_row < b.first_row;
  });
  task_begin_.assign(1, 0);
  int64_t rows = 0;
  for (int64_t chunk = 0; chunk < std::ssize(chunks_); ++chunk) {
    const int64_t more = pairs_of(work, chunks_[static_cast<size_t>(chunk)].run) * group_;
    if (chunk - task_begin_.back() == kTreeTaskChunks ||
        (rows > 0 && rows + more > kTreeTaskRows)) {
      task_begin_.push_back(chunk);
      rows = 0;
    }
    rows += more;
  }
  if (!chunks_.empty()) task_begin_.push_back(std::ssize(chunks_));
}

}  // namespace treepo
