#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "model/step_model.h"
#include "rollout/engine.h"

namespace treepo {

// One way of sampling to be measured against others.
struct SamplingCase {
  std::string name;
  RolloutSettings settings;
};

// Tokens at one depth of all trees.
struct DepthTokens {
  int64_t unique = 0;      // decoded
  int64_t trajectory = 0;  // counted once for each trajectory that passes through them
};

struct SamplingMeasurement {
  std::string name;
  int64_t width = 0;
  std::vector<double> seconds;        // of each timed round
  RolloutStats stats;                 // sums over the timed rounds; counts are equal in each
  StepProfile profile;                // the model's, likewise
  std::vector<DepthTokens> by_depth;  // of one round; [0] is depth 1

  double median_seconds() const;
  double rounds() const { return static_cast<double>(seconds.size()); }
  double trajectories_per_second() const;
  double unique_tokens_per_second() const;      // decoded tokens
  double trajectory_tokens_per_second() const;  // decoded tokens, each once for every trajectory
  // Prefilled and decoded tokens, as the paper's TokenPS counts them.
  double processed_tokens_per_second() const;
  // Trajectory tokens / unique tokens: what sharing can save at best.
  double sharing() const;
};

// Samples the same queries by each case in turn, `rounds` times after one round that is not timed,
// so that what else the machine does falls on all of them. `progress` is called after each run with
// the number of runs done. Throws Error as RolloutEngine::run does. cases, queries, rounds: at
// least one.
std::vector<SamplingMeasurement> measure_sampling(
    StepModel& model, std::span<const SamplingCase> cases, std::span<const Query> queries,
    int64_t rounds, const std::function<void(int64_t done)>& progress = {});

// Tokens of the trees by depth.
std::vector<DepthTokens> tokens_by_depth(std::span<const SearchTree> trees);

}  // namespace treepo
