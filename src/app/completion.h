#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace treepo {

// A completion script for the program, made of its commands and their options; --set is completed
// with the keys of `treepo options`, anything else with file names.
std::string bash_completion(const CLI::App& program);
std::string zsh_completion(const CLI::App& program);

}  // namespace treepo
