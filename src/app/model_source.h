#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/options.h"
#include "model/decoder.h"
#include "text/tokenizer.h"
#include "train/training_query.h"

namespace treepo {

// The flags of commands that work with a model that need not exist: --random-model in place of
// --model, and prompts from a file or drawn.
struct ModelSource {
  static constexpr int64_t kQueries = 64, kPromptTokens = 128;  // that are drawn

  std::string random_model, prompts;
  std::optional<int64_t> num_queries, prompt_tokens;  // of drawn prompts

  void add_to(CLI::App& command);
  // Throws unless exactly one of --model and --random-model was given.
  void check(const RunOptions& options) const;
  // Throws Error where the context has no room for the longest response. Reads no weights. Without
  // either, the fresh model of options.model.
  ModelConfig config(const RunOptions& options) const;
  // The prompts of the file, or drawn ones. Throws Error where a prompt does not fit the model, and
  // where it is a text and there is no tokenizer.
  std::vector<TrainingQuery> queries(const RunOptions& options, const ModelConfig& config) const;
  Decoder load(const RunOptions& options, const ModelConfig& config) const;
  // Nothing with a model that comes without one.
  std::optional<Tokenizer> tokenizer(const RunOptions& options) const;
};

}  // namespace treepo
