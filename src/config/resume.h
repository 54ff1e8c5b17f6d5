#pragma once

#include <string>
#include <vector>

#include "config/options.h"

namespace treepo {

struct OptionChange {
  std::string key;
  std::string saved, now;  // values as TOML
};

// All options that differ, in the order of declaration.
std::vector<OptionChange> option_changes(const RunOptions& saved, const RunOptions& now);

// Options that differ though they must stay as they were for a run to continue as if it had never
// stopped, in the order of declaration.
std::vector<OptionChange> forbidden_changes(const RunOptions& saved, const RunOptions& now);

// Throws Error listing them, and which options may change.
void check_resumable(const RunOptions& saved, const RunOptions& now);

std::vector<std::string> keys_that_may_change();

}  // namespace treepo
