#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/json.h"
#include "reward/verifier.h"

namespace treepo {

struct ScoreCounts {
  int64_t responses = 0, correct = 0;
  int64_t errors = 0, timeouts = 0, deaths = 0;
  double reward = 0;  // sum
};

// The work of `treepo score`: reads {"prompt", "response", "answer"} from each line of `input` (a
// path) and writes {"reward", "reason", "parts"} in the same order, all with the row's "id" where
// it has one. Prompt and answer may be absent where the verifier does not need them. Throws Error,
// naming file and line, on a line that is wrong; the lines before it are written, by blocks.
ScoreCounts score_lines(const std::string& input, Verifier& verifier,
                        const std::function<void(const std::string& line)>& write);

}  // namespace treepo
