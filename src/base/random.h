#pragma once

#include <array>
#include <cstdint>

namespace treepo {

// Counter-based random numbers: a value is a function of (key, counter), so there is no state to
// save, and neither batch size, thread count nor order of work can change a draw.
// Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// What a stream of random numbers is for. Values are part of what makes a run repeatable: append
// only.
enum class Purpose : uint32_t {
  train = 0,       // tokens of training rollouts
  evaluate = 1,    // tokens of evaluation rollouts
  growth = 2,      // first split, budgets, divergence
  fallback = 3,    // choice of trajectory and boundary
  data_order = 4,  // shuffling of queries
  weights = 5,     // fresh random models
  generate = 6,    // problems and demonstrations that treepo makes itself
  bootstrap = 7,   // resampling in evaluation
  adapters = 8,    // fresh low-rank adapters
};

// A stream: every draw from it is addressed by a (node, position) pair.
class RandomStream {
 public:
  // query: stable number of the query (position in its data set); visit: how many times this query
  // was rolled out before, so that a query met again draws anew.
  RandomStream(uint64_t seed, Purpose purpose, uint64_t query = 0, uint64_t visit = 0);

  // Uniform in [0, 1) with 53 random bits. `lane` separates several draws at one address.
  double uniform(uint32_t node, uint32_t position, uint32_t lane = 0) const;

  // Uniform integer in [low, high], both included; low <= high.
  int64_t integer(int64_t low, int64_t high, uint32_t node, uint32_t position,
                  uint32_t lane = 0) const;

  // Standard normal (Box–Muller).
  double normal(uint32_t node, uint32_t position, uint32_t lane = 0) const;

  uint64_t bits(uint32_t node, uint32_t position, uint32_t lane = 0) const;

 private:
  std::array<uint32_t, 2> key_;
  uint32_t salt_;
};

}  // namespace treepo
