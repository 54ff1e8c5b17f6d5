#pragma once

#include "model/decoder.h"

namespace treepo {

// A small random model with grouped heads and, for Qwen2 and Qwen3, their biases and head norms.
// The spread of its weights is wide, so that its logits are far from flat.
inline ModelConfig tiny_config(const std::string& architecture, int64_t vocab_size = 50) {
  ModelOptions options;
  options.architecture = architecture;
  options.hidden_size = 40;
  options.num_layers = 2;
  options.num_heads = 4;
  options.num_kv_heads = 2;
  options.intermediate_size = 56;
  options.max_positions = 256;
  options.initializer_range = 0.2;
  options.tie_embeddings = architecture != "mistral";
  return fresh_model_config(options, vocab_size, {.bos = -1, .eos = 1, .pad = -1});
}

}  // namespace treepo
