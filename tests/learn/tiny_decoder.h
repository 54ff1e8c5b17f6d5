#pragma once

#include "model/decoder.h"

namespace treepo {

// A fresh model small enough for a test, with weights large enough that its logits are not flat.
inline Decoder tiny_decoder(c10::ScalarType dtype, int64_t vocab_size = 11, uint64_t seed = 1) {
  ModelOptions options;
  options.hidden_size = 16;
  options.num_layers = 2;
  options.num_heads = 4;
  options.num_kv_heads = 2;
  options.intermediate_size = 24;
  options.max_positions = 128;
  options.initializer_range = 0.3;
  return Decoder::random(fresh_model_config(options, vocab_size, {.bos = -1, .eos = 1, .pad = -1}),
                         seed, c10::Device(c10::kCPU), dtype);
}

}  // namespace treepo
