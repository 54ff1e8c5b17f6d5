#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "learn/pack.h"

// Ratios of whole trajectories: s_i = exp(mean over the tokens of i of logp - old_logp).
namespace treepo {

// Whether some trajectory has only a part of its tokens in the pack.
bool cuts_trajectories(const PackedTrees& pack);

// One past the largest trajectory number of the packs.
int64_t num_trajectories(std::span<const PackedTrees> packs);

// log_ratios[number of a trajectory] += sum of logp - old_logp over its tokens in the pack.
void add_log_ratios(const PackedTrees& pack, std::span<const double> logprobs,
                    std::span<double> log_ratios);

// s_i of pack.trajectories, from sums over all their tokens.
std::vector<double> sequence_ratios(const PackedTrees& pack, std::span<const double> log_ratios);

}  // namespace treepo
