#pragma once

#include <cstdint>
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

// The model that the options name: a Hugging Face directory, the same with fresh weights, or, with
// an empty path, a fresh model with the tokenizer of data.kind = "carry", which is written to
// `scratch_dir`. Throws Error if tokenizer and model don't fit together.
LoadedModel load_model(const ModelOptions& options, uint64_t seed, const std::string& scratch_dir);

// For commands that only read: the path must be set.
LoadedModel load_model_directory(const ModelOptions& options);

}  // namespace treepo
