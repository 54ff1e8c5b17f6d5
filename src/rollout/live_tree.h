#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/random.h"
#include "kernels/sampling.h"  // DrawnToken
#include "kv/tree_cache.h"
#include "rollout/engine.h"
#include "tree/branch.h"
#include "tree/growth.h"
#include "tree/search_tree.h"
#include "tree/stop_rules.h"

namespace treepo {

// A place at which decoding goes on: one row of the batch. It holds one path in the middle of its
// segment, or all the new paths of one branching point, whose first tokens are drawn together.
//
//   node 4 has 3 tokens and goes on            {node 4, used 3, first_child 4, copies 1}
//   nodes 7 and 8 begin after 5 tokens of 4    {node 4, used 5, first_child 7, copies 2}
struct Front {
  int32_t node = 0;         // the last token so far lies in this node (0: in the prompt)
  int32_t used = 0;         // … and is its used-th
  int32_t first_child = 0;  // tokens are drawn for nodes first_child … first_child + copies - 1
  int32_t copies = 1;
  bool running = false;  // uses the cache entry of `node`
};

// A tree while it grows: its fronts, the paths that wait at its barrier, its cache entries.
class LiveTree {
 public:
  // Everything passed stays the caller's and must outlive the tree.
  LiveTree(size_t query_index, const Query& query, const RolloutSettings& settings,
           const StopRules& rules, const GrowthFacts& facts, TreeCache& cache);
  ~LiveTree();  // takes its entries out of the cache
  LiveTree(const LiveTree&) = delete;
  LiveTree& operator=(const LiveTree&) = delete;

  // Appends one drawn token for each of the front's paths, and returns how many. settle() must
  // follow, before the fronts are looked at again. While the tree asks for next entropies it takes
  // them from the draws, and no token.
  int32_t take(size_t front_index, const DrawnToken* drawn, const RolloutCallbacks& callbacks);
  void settle();

  // At the barrier every path has ended its segment: judges and prunes them, then branches or falls
  // back. Where the growth asks for next entropies, every path's last token runs once more in
  // between, and the barrier is crossed at the second call. Where scores of leaves are not known it
  // waits for them; unless it has to now, it first does nothing for some calls, one for each step.
  bool at_barrier() const { return fronts_.empty() && !finished_; }
  void cross_barrier(const RolloutCallbacks& callbacks, bool wait_now = true);
  bool finished() const { return finished_; }

  void start(Front& front);    // uses its cache entry
  void suspend(Front& front);  // … and no longer

  size_t query_index() const { return query_index_; }
  const Query& query() const { return query_; }
  const SearchTree& tree() const { return tree_; }
  SearchTree release_tree();
  std::vector<Front>& fronts() { return fronts_; }
  const std::vector<Front>& fronts() const { return fronts_; }
  int32_t active_paths() const { return active_paths_; }
  int32_t round_paths() const { return static_cast<int32_t>(ends_.size()); }  // ended ones too
  int32_t running_fronts() const { return running_fronts_; }
  int32_t discarded_paths() const { return discarded_paths_; }
  int32_t pruned_paths() const { return pruned_paths_; }

  int32_t cache_entry(int32_t node) const { return entries_[static_cast<size_t>(node)]; }
  // Tokens of a node as the cache has them: those of node 0 are the prompt.
  std::span<const int32_t> node_tokens(int32_t node) const {
    return node == 0 ? tree_.prompt() : tree_.tokens(node);
  }
  // Tokens before the node's first one on its path, the prompt's included.
  int32_t first_position(int32_t node) const {
    return node == 0 ? 0 : prompt_tokens() + tree_.node(node).prefix_tokens;
  }
  // The random number that decides the next token of `node`.
  double next_uniform(int32_t node) const {
    return token_stream_.uniform(static_cast<uint32_t>(node),
                                 static_cast<uint32_t>(tree_.node(node).num_tokens));
  }

 private:
  // A path of this round, from one barrier to the next.
  struct PathEnd {
    bool ended = false;
    TokenFacts last_token;
  };

  int32_t prompt_tokens() const { return static_cast<int32_t>(query_.prompt.size()); }
  PathEnd& path_end(int32_t node) { return ends_[static_cast<size_t>(node - first_node_)]; }
  void grow(const std::vector<Branch>& branches, bool fallback);
  void judge_paths(const RolloutCallbacks& callbacks);
  void ask_scores(size_t first_leaf, const RolloutCallbacks& callbacks);
  void take_scores();
  void prune_paths(const RolloutCallbacks& callbacks);
  void stop_path(int32_t node, StopReason reason, bool discarded,
                 const RolloutCallbacks& callbacks);
  void ask_next_entropies();
  bool is_eos(int32_t token) const;

  size_t query_index_;
  const Query& query_;
  const RolloutSettings& settings_;
  const StopRules& rules_;
  TreeCache& cache_;
  SearchTree tree_;
  TreeGrowth growth_;
  RandomStream token_stream_;
  std::vector<int32_t> entries_;  // cache entry of each node
  std::vector<Front> fronts_, settled_;
  int32_t first_node_ = 1;     // of this round; its nodes are this and all that follow
  std::vector<PathEnd> ends_;  // of this round's nodes
  int32_t active_paths_ = 0;   // of this round, not ended
  int32_t running_fronts_ = 0;
  int32_t discarded_paths_ = 0, pruned_paths_ = 0;
  std::vector<int32_t> going_on_;     // at the barrier: nodes that did not stop
  int32_t stopped_now_ = 0;           // … and how many did
  std::vector<int32_t> to_score_;     // leaves of this barrier …
  std::optional<LeafScores> scores_;  // … whose scores are on their way
  int64_t steps_to_scores_ = 0;       // after so many they are waited for
  bool asking_ = false;               // for next entropies of going_on_
  bool unsettled_ = false;
  bool finished_ = false;
};

}  // namespace treepo
