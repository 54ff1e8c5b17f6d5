#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "config/options.h"
#include "model/decoder.h"
#include "train/training_query.h"

namespace treepo {

// The flags of commands that work with a model that need not exist: --random-model in place of
// --model, and prompts from a file or drawn.
struct ModelSource {
  std::string random_model, prompts;
  int64_t num_queries = 64, prompt_tokens = 128;

  void add_to(CLI::App& command);
  // Throws unless one of --model and --random-model was given, and no more than fits together.
  void check(const RunOptions& options) const;
  // Throws Error where the context has no room for the longest response. Reads no weights.
  ModelConfig config(const RunOptions& options) const;
  // Throws Error where a prompt does not fit the model.
  std::vector<TrainingQuery> queries(const RunOptions& options, const ModelConfig& config) const;
  Decoder load(const RunOptions& options, const ModelConfig& config) const;
};

}  // namespace treepo
