#include "learn/sequence_ratio.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace treepo {
namespace {

// Calls f(index into pack.trajectories) for the trajectories through target t.
template <typename F>
void for_each_trajectory(const PackedTrees& pack, size_t t, F f) {
  const auto first = static_cast<size_t>(pack.first_trajectory[t]);
  for (size_t i = first; i < first + static_cast<size_t>(pack.num_leaves[t]); ++i) f(i);
}

}  // namespace

bool cuts_trajectories(const PackedTrees& pack) {
  std::vector<int64_t> tokens(pack.trajectories.size());
  for (size_t t = 0; t < pack.num_leaves.size(); ++t)
    for_each_trajectory(pack, t, [&](size_t i) { ++tokens[i]; });
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < pack.trajectories[i].num_tokens) return true;
  return false;
}

int64_t num_trajectories(std::span<const PackedTrees> packs) {
  int64_t number = 0;
  for (const PackedTrees& pack : packs)
    number = std::max(number, pack.trajectory_offset + std::ssize(pack.trajectories));
  return number;
}

void add_log_ratios(const PackedTrees& pack, std::span<const double> logprobs,
                    std::span<double> log_ratios) {
  TREEPO_CHECK(logprobs.size() == pack.old_logprob.size(), "{} log-probs for {} targets",
               logprobs.size(), pack.old_logprob.size());
  const auto offset = static_cast<size_t>(pack.trajectory_offset);
  for (size_t t = 0; t < logprobs.size(); ++t) {
    const double log_ratio = logprobs[t] - pack.old_logprob[t];
    for_each_trajectory(pack, t, [&](size_t i) { log_ratios[offset + i] += log_ratio; });
  }
}

std::vector<double> sequence_ratios(const PackedTrees& pack, std::span<const double> log_ratios) {
  std::vector<double> ratios;
  for (size_t i = 0; i < pack.trajectories.size(); ++i) {
    const double sum = log_ratios[static_cast<size_t>(pack.trajectory_offset) + i];
    ratios.push_back(std::exp(sum / static_cast<double>(pack.trajectories[i].num_tokens)));
  }
  return ratios;
}

}  // namespace treepo
