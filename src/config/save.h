#pragma once

#include <string>
#include <string_view>

#include "config/options.h"

namespace treepo {

// Every option with its value, sections in order, help as comments: a TOML file that loads back to
// the same values bit by bit.
std::string options_as_toml(const RunOptions& options);

// Every option with default, range and help, for the terminal; only keys that contain `filter`.
std::string options_as_text(std::string_view filter = "");

// docs/options.md
std::string options_as_markdown();

}  // namespace treepo
