#pragma once

#include <cstdint>
#include <vector>

#include "model/step_model.h"

namespace treepo {

struct GreedyTokens {
  std::vector<std::vector<int32_t>> tokens;   // [rows][count]
  std::vector<std::vector<double>> logprobs;  // of those tokens
};

// The likeliest token, `count` times, after each prompt, by prefill and cached steps of one token
// for every row. No end-of-sequence rule: for checks, not for rollout.
GreedyTokens greedy_decode(StepModel& model, const std::vector<std::vector<int32_t>>& prompts,
                           int32_t count);

}  // namespace treepo
