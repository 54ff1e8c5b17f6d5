#pragma once

#include <cstdint>
#include <vector>

#include "kernels/tree_attention.h"  // TreeAttentionWork
#include "kv/tree_cache.h"

namespace treepo {

// Turns "query row q stands after the first v tokens of cache entry e" into attention work. A run
// of keys that several queries see is listed once. Entries that follow one another on a path and
// are seen by the same queries become one run, so that a chain of segments costs one run.
//
// Example: queries 0 and 1 in entry 3 and entry 4, both below entry 2, which is the only one below
// the root 0: the runs are [0, 2] for {0, 1}, then [3] for {0} and [4] for {1}.
//
// Runs are listed ancestors first. Cost: O(sum over the queries of the entries on their paths, plus
// pages); no allocation once the arrays have grown.
class AttentionBuilder {
 public:
  explicit AttentionBuilder(const TreeCache& cache) : cache_(cache) {}

  void clear();
  // The next query row sees the first `visible` tokens of `entry` (1…stored) and what lies above
  // it.
  void add_query(int32_t entry, int32_t visible);
  void build(TreeAttentionWork& work);

 private:
  struct Query {
    int32_t entry, visible;
  };
  // What the queries of this step make of an entry.
  struct Seen {
    uint64_t step = 0;        // the other members count only if this is the present step
    int32_t queries = 0;      // how many see it
    int32_t most = 0;         // tokens seen by the query that sees most
    int32_t only_child = -1;  // entry that continues the same run
    int32_t run = -1;         // set where a run begins, -1 inside one
    int32_t parent = -1;      // these two are the cache's, here so that a walk touches one array
    int32_t parent_used_tokens = 0;
  };

  void see(const Query& query);
  void join_chains();
  void list_runs(TreeAttentionWork& work);
  void list_pairs(TreeAttentionWork& work);

  const TreeCache& cache_;
  uint64_t step_ = 1;
  std::vector<Query> queries_;
  std::vector<Seen> seen_;          // by entry
  std::vector<int32_t> order_;      // entries seen in this step, parents first
  std::vector<int32_t> next_pair_;  // by run
};

}  // namespace treepo
