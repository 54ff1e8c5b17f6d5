#pragma once

#include <cstdint>

namespace treepo {

// Log-softmax of z = (logit - largest logit of the row) / temperature without a tensor of
// log-probs: log p = z - log_sum. T is float or double; sums over a row are double. A NaN or
// infinite logit makes log_sum NaN. Each row's numbers are the same for any number of threads.

// logits [rows, n]; largest, log_sum and entropy (nats) [rows].
template <typename T>
void log_softmax_statistics_cpu(const T* logits, int64_t rows, int64_t n, T inverse_temperature,
                                T* largest, T* log_sum, T* entropy);

// Overwrites logits by d loss / d logits for a loss with d_logprob[row], the sum of its derivatives
// with respect to log-probs of the row's tokens, and d_entropy[row] (null: none):
//   -p (d_logprob + d_entropy (log p + entropy)) / temperature
// What the tokens' own log-probs add (derivative / temperature, each at its token) is the caller's.
template <typename T>
void log_softmax_gradient_cpu(T* logits, int64_t rows, int64_t n, T inverse_temperature,
                              const T* largest, const T* log_sum, const T* entropy,
                              const T* d_logprob, const T* d_entropy);

}  // namespace treepo
