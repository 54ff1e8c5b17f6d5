#pragma once

#include <cstdint>
#include <vector>

namespace treepo {

// In which order the problems of a data set are asked: epoch after epoch, each a shuffle of its own
// (Fisher–Yates with counter-based random numbers). Everything follows from the position, so that a
// run resumes from one integer: epoch = position / num_queries, offset = position % num_queries.
class QueryOrder {
 public:
  struct Draw {
    int64_t query;  // 0 … num_queries - 1
    int64_t visit;  // how often this query came before: each epoch asks every query once, so this
                    // is the epoch
  };

  // num_queries at least 1. Orders of one seed and different streams have nothing in common.
  QueryOrder(int64_t num_queries, uint64_t seed, uint64_t stream = 0);

  // position >= 0. O(1) within the epoch asked for last, O(num_queries) on a change of epoch.
  Draw at(int64_t position);

  int64_t num_queries() const { return static_cast<int64_t>(order_.size()); }

 private:
  void shuffle(int64_t epoch);

  uint64_t seed_, stream_;
  int64_t epoch_ = -1;          // that order_ holds
  std::vector<int64_t> order_;  // [num_queries] query at each offset of the epoch
};

}  // namespace treepo
