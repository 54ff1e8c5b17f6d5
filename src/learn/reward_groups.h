#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <unordered_map>

#include "learn/advantage.h"  // QueryRewards

// Rewards of the leaves below each node of a query's tree.
namespace treepo {

struct Subgroup {
  int64_t size = 0;
  double sum = 0;
  double lowest = std::numeric_limits<double>::infinity();
  double highest = -std::numeric_limits<double>::infinity();

  void add(double reward) {
    ++size;
    sum += reward;
    lowest = std::min(lowest, reward);
    highest = std::max(highest, reward);
  }
  bool degenerate() const { return lowest == highest; }
  // Exact for equal rewards, so that a group without contrast gives 0 and no rounding noise.
  double mean() const { return degenerate() ? lowest : sum / static_cast<double>(size); }
};

using Subgroups = std::unordered_map<int32_t, Subgroup>;  // by node id

// Throws Error on a reward that is not finite, naming query and leaf.
Subgroups subgroups_of(const QueryRewards& query);

// What advantage.query_std divides by, 1 where it is off: (std + epsilon) of the query's rewards,
// n - 1 in the denominator, the std of a single leaf taken as 1.
double query_scale(const QueryRewards& query, const Subgroups& groups,
                   const AdvantageOptions& options);

}  // namespace treepo
