#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/tree_attention.h"
#include "kernels/tree_chunk.h"

namespace treepo {

// How the CPU kernel goes through a TreeAttentionWork: the same for all layers of a step. A run is
// read in chunks of whole pieces; a task is a few of them that follow one another, those of many
// queries first. Chunk c of run r leaves one partial result for each of the run's pairs and heads:
// rows first_row + kv_head * pairs * group and on. A query's output merges its partial results.
// Made anew, it keeps its memory.
class TreeAttentionPlan {
 public:
  struct Chunk {
    int32_t run, first_piece, num_pieces;
    int64_t first_key, first_row;
  };

  // Lists the work of num_queries queries for heads of this shape.
  void make(const TreeAttentionWork& work, const AttentionShape& shape, int32_t num_queries);

  bool empty() const { return chunks_.empty(); }
  void clear() { chunks_.clear(); }

  const std::vector<Chunk>& chunks() const { return chunks_; }
  int64_t num_tasks() const { return static_cast<int64_t>(task_begin_.size()) - 1; }
  // Chunks [task_begin(task), task_begin(task + 1)); at most kTreeTaskChunks.
  int64_t task_begin(int64_t task) const { return task_begin_[static_cast<size_t>(task)]; }
  int64_t num_queries() const { return num_queries_; }
  int64_t num_rows() const { return num_rows_; }     // of partial results
  int64_t pair_keys() const { return pair_keys_; }   // sum of the runs' tokens over their pairs
  size_t most_parts() const { return most_parts_; }  // of one query
  // Those of a query, in the order of its runs.
  const TreePart* parts(int64_t query) const { return parts_.data() + part_begin(query); }
  int64_t num_parts(int64_t query) const { return part_begin(query + 1) - part_begin(query); }

 private:
  int64_t part_begin(int64_t query) const { return part_begin_[static_cast<size_t>(query)]; }
  void list_chunks(const TreeAttentionWork& work);
  void list_parts(const TreeAttentionWork& work);
  void list_tasks(const TreeAttentionWork& work);
  template <typename F>
  void for_each_part(const TreeAttentionWork& work, const F& f) const;

  int64_t group_ = 0, kv_heads_ = 0, num_queries_ = 0;
  std::vector<Chunk> chunks_;
  std::vector<int64_t> task_begin_;              // [tasks + 1]
  std::vector<int64_t> part_begin_, next_part_;  // [queries + 1], [queries]
  std::vector<TreePart> parts_;
  size_t most_parts_ = 0;
  int64_t num_rows_ = 0, pair_keys_ = 0;
};

}  // namespace treepo
