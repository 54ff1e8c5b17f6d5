#pragma once

#include <cstdint>

namespace treepo {

// How a token is drawn. Log-prob and entropy are always those of softmax(logits / temperature) over
// the whole vocabulary; top_k, top_p and min_p truncate the draw only (applied in this order).
struct SamplingParams {
  double temperature = 1.0;  // 0: greedy; log-prob and entropy are then taken at temperature 1
  int32_t top_k = 0;         // 0: off
  double top_p = 1.0;        // smallest set of likeliest tokens with this mass; 1: off
  double min_p = 0.0;        // tokens with at least min_p times the likeliest one's probability

  bool operator==(const SamplingParams&) const = default;
};

struct DrawnToken {
  int32_t token = -1;
  double logprob = 0;   // natural logarithm
  double entropy = 0;   // nats
  double cut_mass = 0;  // probability that top_k, top_p and min_p cut off
};

// Draws by inverting the cumulative distribution at u in [0, 1), tokens in the order of their ids.
// Ties at a truncation go to the smaller id. Arithmetic in double. A logit that is NaN or a row
// that is all -inf: throws CheckFailure's counterpart Error naming the token id, for weights can
// cause it.
template <typename T>
DrawnToken draw_token(const T* logits, int32_t vocab_size, const SamplingParams& params, double u);

}  // namespace treepo
