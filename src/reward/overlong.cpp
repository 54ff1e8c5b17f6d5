#include "reward/overlong.h"

#include <algorithm>

namespace treepo {

double overlong_penalty(int64_t tokens, int64_t max_tokens, const RewardOptions& options) {
  const double window = static_cast<double>(options.overlong_tokens);
  if (window <= 0) return 0.0;
  const double excess = static_cast<double>(tokens - max_tokens) + window;
  return options.overlong_penalty * std::clamp(excess / window, 0.0, 1.0);
}

}  // namespace treepo
