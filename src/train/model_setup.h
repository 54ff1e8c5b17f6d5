#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "config/options.h"
#include "model/decoder.h"
#include "text/tokenizer.h"

namespace treepo {

struct LoadedModel {
  Decoder decoder;
  Tokenizer tokenizer;
  std::string tokenizer_dir;  // folder whose tokenizer files go into checkpoints
};

// Looks at what belongs to the model before its weights are read: where a wrong run should end.
// tokenizer_dir: where the tokenizer's files and the chat template lie.
using BeforeWeights =
    std::function<void(const ModelConfig&, const Tokenizer&, const std::string& tokenizer_dir)>;

// Throws Error, naming the keys, where the longest response leaves no room for a prompt in the
// model's context.
void check_context(const ModelConfig& config, const RunOptions& options);

// Of the model that options with an empty path name.
ModelConfig fresh_carry_config(const ModelOptions& options);

// The model that the options name: a Hugging Face directory, the same with fresh weights, or, with
// an empty path, a fresh model with the tokenizer of data.kind = "carry", which is written to
// `scratch_dir`. Throws Error if tokenizer and model don't fit together.
LoadedModel load_model(const ModelOptions& options, uint64_t seed, const std::string& scratch_dir,
                       const BeforeWeights& before_weights = {});

// The model that a run trains, with its adapters: as `options` name it, or of the checkpoint that
// it goes on from.
LoadedModel load_run_model(const RunOptions& options, const std::string& scratch_dir,
                           const std::optional<std::string>& checkpoint,
                           const BeforeWeights& before_weights = {});

// Makes checkpoints take their tokenizer from this folder of the run: the model's own may vanish,
// as the checkpoint that a run goes on from does.
void keep_tokenizer(LoadedModel& model, const std::string& folder);

// Where what belongs to the model at `path` lies: of an adapter, its base; the tokenizer may come
// with either.
struct ModelFolders {
  std::string config, tokenizer;
};
ModelFolders model_folders(const std::string& path);

// For commands that only read: the path must be set. It may be an adapter's directory.
LoadedModel load_model_directory(const ModelOptions& options,
                                 const BeforeWeights& before_weights = {});

}  // namespace treepo
