#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

#include "config/options.h"

namespace treepo {

// Flags that commands share. --model, --device and --dtype are short for the options model.*.
struct RunFlags {
  std::string model, device, dtype;
  std::vector<std::string> sets;  // KEY=VALUE
  bool quiet = false;

  void add_to(CLI::App& command);
  // The `--set` arguments with the short flags appended.
  std::vector<std::string> overrides() const;
  void apply_quiet() const;
};

// "key = value" where the value is text, quoted for TOML.
std::string text_override(const std::string& key, const std::string& value);

}  // namespace treepo
