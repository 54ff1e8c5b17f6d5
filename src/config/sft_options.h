#pragma once

#include <string>
#include <vector>

#include "config/options.h"

namespace treepo {

// Keys whose values differ from their defaults, though `treepo sft` reads them nowhere: nothing is
// sampled or rewarded there, and an evaluation is the loss of sft.test.
std::vector<std::string> set_but_unread_by_sft(const RunOptions& options);

}  // namespace treepo
