#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/random.h"
#include "config/growth_options.h"
#include "tree/branch.h"
#include "tree/budget.h"
#include "tree/growth_facts.h"
#include "tree/search_tree.h"

namespace treepo {

// A policy of the user's own: children of each active path, in their order, at least 1 each and at
// most `budget` together. Not asked where the budget is one child each.
using SplitBudget = std::function<std::vector<int32_t>(
    const SearchTree& tree, std::span<const int32_t> active, int32_t budget)>;

// Whether the policies ask for the score of finished leaves.
bool needs_leaf_scores(const GrowthOptions& options);

// Whether a tree depends on how many others are grown in the same run of the engine.
bool trees_share_budget(const GrowthOptions& options);

// Where one tree grows next. Decisions depend on the tree's own history and the facts alone: random
// numbers are addressed by (number of the barrier or fallback, index) in streams of (seed, query,
// visit).
//
// A barrier, when every path has ended its segment:
//   1. stop rules judge the new nodes (tree/stop_rules.h); finished leaves get their score where
//      needs_leaf_scores();
//   2. prune(): some of those that go on stop as `pruned`;
//   3. where needs_next_entropies(), the remaining ones get their next_entropy;
//   4. next().
class TreeGrowth {
 public:
  TreeGrowth(const GrowthOptions& options, uint64_t seed, uint64_t query, uint64_t visit,
             const GrowthFacts& facts = {});

  // The first split: copies of the root.
  std::vector<Branch> start() const;

  // Which of the active paths, given by their nodes in the order of their ids, are given up.
  std::vector<int32_t> prune(const SearchTree& tree, std::span<const int32_t> active) const;

  // Whether next(), for the same arguments, reads next_entropy of the active nodes.
  bool needs_next_entropies(const SearchTree& tree, std::span<const int32_t> active,
                            int32_t stopped_now) const;

  // active: nodes whose paths go on, in the order of their ids; stopped_now: how many others
  // stopped at this barrier. No branch: the tree is complete. `split`, where it is set, divides the
  // budget in place of options.divergence; throws Error on numbers of children that can't be.
  std::vector<Branch> next(const SearchTree& tree, std::span<const int32_t> active,
                           int32_t stopped_now, const SplitBudget& split = {});

 private:
  SegmentEnd segment_end(const SearchTree& tree, std::span<const int32_t> active,
                         int32_t stopped_now) const;
  std::vector<Branch> branch(const SearchTree& tree, std::span<const int32_t> active, int32_t total,
                             const SplitBudget& split) const;
  std::vector<Branch> fall_back(const SearchTree& tree, int32_t missing);

  GrowthOptions options_;
  GrowthFacts facts_;
  RandomStream growth_, fallback_;
  int32_t barriers_ = 0;            // passed
  int32_t fallback_rounds_ = 0;     // so far
  int32_t barren_fallbacks_ = 0;    // in a row
  size_t trajectories_before_ = 0;  // at the last fallback
};

// Throws Error naming the option that is out of range.
void check_growth_options(const GrowthOptions& options);

}  // namespace treepo
