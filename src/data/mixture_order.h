#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/query_order.h"

namespace treepo {

// In which order the problems of several sources are asked, each source with a share of its own.
// An epoch has as many positions as there are problems in all sources together; a source gets its
// share of them, rounded, and at least one, at places that are shuffled anew for each epoch. Within
// its places a source goes through its own problems, each once before any comes again. Everything
// follows from the position, as with QueryOrder.
//
//   sizes 3 and 1, weights 1 and 1: two places each in an epoch of four, for example
//   A1 B0 B0 A2 | B0 A0 A2 B0 | …     every A comes once in three of A's places
class MixtureOrder {
 public:
  struct Draw {
    size_t source;  // 0 … sizes.size() - 1
    int64_t query;  // 0 … sizes[source] - 1
    int64_t visit;  // how often this query came before
  };

  // sizes: problems of each source, at least 1; weights: above 0, their sum need not be 1.
  MixtureOrder(std::span<const int64_t> sizes, std::span<const double> weights, uint64_t seed);

  // position >= 0. O(1) within the epoch asked for last, else linear in the number of problems.
  Draw at(int64_t position);

  int64_t epoch_size() const { return static_cast<int64_t>(places_.size()); }
  int64_t places_of(size_t source) const { return quotas_[source]; }  // in each epoch

 private:
  struct Place {
    int32_t source;
    int64_t rank;  // places of the same source before it in the epoch
  };
  void fill(int64_t epoch);

  std::vector<int64_t> quotas_;     // places of each source in an epoch
  std::vector<QueryOrder> orders_;  // of each source's own problems
  QueryOrder shuffle_;              // of an epoch's places
  std::vector<Place> places_;       // of epoch_
  int64_t epoch_ = -1;
};

}  // namespace treepo
