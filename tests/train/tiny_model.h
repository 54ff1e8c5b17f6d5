#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/carry_task.h"
#include "model/decoder.h"
#include "support/temporary_directory.h"
#include "text/tokenizer.h"
#include "train/trajectory_text.h"

namespace treepo {

// A random float64 model with the carry task's 24 characters. The spread of its weights is wide, so
// that its logits are far from flat.
struct TinyModel {
  explicit TinyModel(uint64_t seed = 1, const std::string& architecture = "llama",
                     int64_t hidden_size = 16)
      : decoder(random_decoder(seed, architecture, hidden_size)),
        tokenizer(carry_tokenizer(directory.path())) {
    decoder.save(directory.path(), at::kDouble);
  }

  std::vector<int32_t> encode(const std::string& prompt) const {
    return tokenizer.encode(prompt, true);
  }

  TemporaryDirectory directory;  // a Hugging Face directory
  Decoder decoder;
  Tokenizer tokenizer;
  TokenText text{tokenizer, {kCarryEosId}};

 private:
  static Decoder random_decoder(uint64_t seed, const std::string& architecture,
                                int64_t hidden_size) {
    ModelOptions options;
    options.architecture = architecture;
    options.hidden_size = hidden_size;
    options.num_layers = 2;
    options.num_heads = 4;
    options.num_kv_heads = 2;
    options.intermediate_size = 24;
    options.max_positions = 128;
    options.initializer_range = 0.3;
    const ModelConfig config =
        fresh_model_config(options, kCarryVocabularySize, {.eos = kCarryEosId, .pad = kCarryPadId});
    return Decoder::random(config, seed, at::kCPU, at::kDouble);
  }
  static Tokenizer carry_tokenizer(const std::string& directory) {
    write_carry_tokenizer(directory);
    return Tokenizer::load(directory);
  }
};

}  // namespace treepo
