#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "config/options.h"
#include "tree/branch.h"
#include "tree/search_tree.h"

namespace treepo {

// Where one tree grows next. Decisions depend on the tree's own history alone: random numbers are
// addressed by (number of the barrier or fallback, index) in streams of (seed, query, visit).
class TreeGrowth {
 public:
  TreeGrowth(const GrowthOptions& options, uint64_t seed, uint64_t query, uint64_t visit);

  // The first split: copies of the root.
  std::vector<Branch> start() const;

  // At a barrier: every path has ended its segment. `active`: nodes whose paths go on, in the order
  // of their ids; stopped_now: how many others stopped here. No branch: the tree is complete.
  std::vector<Branch> next(const SearchTree& tree, std::span<const int32_t> active,
                           int32_t stopped_now);

 private:
  GrowthOptions options_;
  RandomStream growth_, fallback_;
  int32_t fallback_rounds_ = 0;
};

// Throws Error naming the option that is out of range.
void check_growth_options(const GrowthOptions& options);

}  // namespace treepo
