#pragma once

#include <cstdint>

#include "config/options.h"  // RewardOptions

namespace treepo {

// What is taken off the score of a response of `tokens` tokens (EOS included) when at most
// `max_tokens` are allowed: 0 up to max_tokens - overlong_tokens, from there linear up to
// overlong_penalty at max_tokens. overlong_tokens = 0: never anything. An overlong_tokens larger
// than max_tokens starts below length 0. DAPO's soft overlong punishment (arXiv 2503.14476, eq.
// 13).
//   max_tokens 100, overlong_tokens 20, overlong_penalty 1:  80 -> 0   90 -> 0.5   100 -> 1
// A trainer subtracts it after verification and logs it apart from the score.
double overlong_penalty(int64_t tokens, int64_t max_tokens, const RewardOptions& options);

}  // namespace treepo
