#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "evaluate/metrics.h"
#include "evaluate/sampling_cases.h"
#include "model/step_model.h"
#include "rollout/engine.h"

namespace treepo {

// Tokens at one depth of all trees.
struct DepthTokens {
  int64_t unique = 0;      // decoded
  int64_t trajectory = 0;  // counted once for each trajectory that passes through them
};

// How right the trajectories of one case are, with what they cost beside it.
struct SamplingAccuracy {
  Interval average;   // share of correct trajectories (avg@w)
  Interval majority;  // maj@w: whether each query's most frequent answer is right
};

struct SamplingMeasurement {
  SamplingCase what;
  std::vector<double> seconds;        // of each timed round
  RolloutStats stats;                 // sums over the timed rounds; counts are equal in each
  StepProfile profile;                // the model's, likewise
  std::vector<DepthTokens> by_depth;  // of one round; [0] is depth 1

  std::optional<SamplingAccuracy> accuracy;  // where a verifier was given

  double median_seconds() const;  // of a round
  double total_seconds() const;   // of all rounds
  double rounds() const { return static_cast<double>(seconds.size()); }
  double trajectories_per_second() const;
  double unique_tokens_per_second() const;      // decoded tokens
  double trajectory_tokens_per_second() const;  // decoded tokens, each once for every trajectory
  // Prefilled and decoded tokens, as the paper's TokenPS counts them.
  double processed_tokens_per_second() const;
  double processed_tokens() const;  // of one round
  // Of weights, keys and values, as counted once for each step.
  double bytes_per_second() const;
  // What no part of the profile nor the scheduling has of all rounds: text rules, verdicts that
  // growth waits for, the copies of a step's inputs.
  double other_seconds() const;
  // Trajectory tokens / unique tokens: what sharing can save at best.
  double sharing() const;
};

struct SamplingHooks {
  RolloutCallbacks rollout{};                    // of every run
  std::function<void(int64_t done)> progress{};  // after each run, with how many are done
  // What a case's trees are worth; called outside of what is timed. Empty: nobody asks.
  std::function<SamplingAccuracy(std::vector<SearchTree>)> judge{};
};

// Samples the same queries by each case in turn, `rounds` times after one round that is not timed,
// so that what else the machine does falls on all of them. Every round draws the same trees. Throws
// Error as RolloutEngine::run does, and where the cache lets lock step begin with fewer trees than
// all. cases, queries, rounds: at least one.
std::vector<SamplingMeasurement> measure_sampling(StepModel& model,
                                                  std::span<const SamplingCase> cases,
                                                  std::span<const Query> queries, int64_t rounds,
                                                  const SamplingHooks& hooks = {});

// problems: the judged trajectories of each query. Intervals by bootstrap over the queries.
SamplingAccuracy sampling_accuracy(std::span<const Samples> problems, uint64_t seed);

// Tokens of the trees by depth.
std::vector<DepthTokens> tokens_by_depth(std::span<const SearchTree> trees);

}  // namespace treepo
