#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "config/options.h"  // ModelOptions

namespace treepo {

// Scaling of rotary frequencies for contexts longer than those of pre-training.
struct RopeScaling {
  enum class Kind { none, linear, llama3 };
  Kind kind = Kind::none;
  double factor = 1;
  // llama3 only: wavelengths above original_max_positions / low_freq_factor are divided by
  // `factor`, those below original_max_positions / high_freq_factor are kept, those between are
  // blended.
  double low_freq_factor = 1, high_freq_factor = 4;
  int64_t original_max_positions = 0;
};

// What one decoder needs to be Llama, Qwen2, Qwen3 or Mistral.
struct ModelConfig {
  std::string model_type;  // llama, qwen2, qwen3, mistral
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0;
  int64_t num_layers = 0, num_heads = 0, num_kv_heads = 0, head_dim = 0;
  int64_t max_positions = 0;  // context length
  double rms_norm_eps = 1e-6, rope_theta = 10000, initializer_range = 0.02;
  RopeScaling rope_scaling;
  bool tie_embeddings = false;
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  bool qk_norm = false;                // RMSNorm of each query and key head (Qwen3)
  std::vector<int32_t> eos_token_ids;  // generation_config.json's, else config.json's
  std::string dtype;                   // of the stored weights, "" if config.json names none

  Json config_json;      // config.json as read: what save() writes back
  Json generation_json;  // generation_config.json, null if there is none

  int64_t query_size() const { return num_heads * head_dim; }
  int64_t key_value_size() const { return num_kv_heads * head_dim; }
};

// Reads config.json and generation_config.json. Throws Error that names file and key on anything
// missing, impossible or unsupported.
ModelConfig read_model_config(const std::string& directory);

// The same from parsed JSON; `where` and `generation_where` name the two in errors.
ModelConfig parse_model_config(const Json& config, const Json& generation, const std::string& where,
                               const std::string& generation_where);

struct SpecialTokens {
  int32_t bos = -1, eos = -1, pad = -1;  // -1: the model has none
};

// A fresh model of options.architecture.
ModelConfig fresh_model_config(const ModelOptions& options, int64_t vocab_size,
                               const SpecialTokens& special);

}  // namespace treepo
