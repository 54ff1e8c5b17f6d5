#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/option_table.h"
#include "config/options.h"

namespace treepo {

// Defaults, then the TOML file (none where path is empty), then `--set` arguments "KEY=VALUE" in
// order, then the rules between options (config/validate.h). model.path may be a name of the hub
// that lies in its cache, and becomes that directory (base/hub_cache.h). Throws Error naming file
// and line, or the argument, of what is wrong.
RunOptions load_options(const std::string& path, const std::vector<std::string>& overrides);

// Sets the options that a TOML text names; `name` stands for it in errors.
void apply_toml(const OptionTable& table, std::string_view text, const std::string& name);

// "rollout.width=8": the value is TOML (8, 1e-6, true, ["a", "b"]); text needs no quotes.
void apply_override(const OptionTable& table, const std::string& argument);

}  // namespace treepo
