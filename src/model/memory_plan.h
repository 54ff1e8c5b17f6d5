#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>

#include "config/options.h"  // LoraOptions
#include "model/model_config.h"

namespace treepo {

// How many bytes a model takes, from its configuration alone: nothing is allocated. Counted are
// tensors, by what decoder.cpp, packed_attention.cpp and learn/token_logprobs.cpp keep at the
// moment when most is alive; the program, its libraries and their scratch memory come on top.
// tests/train/run_plan_test.cpp holds the sums against what an allocator counts, in float32. In
// half types weights, gradients and optimiser are exact, and a CPU's products convert on the way:
// without bfloat16 instructions a step took 0.9 to 1.2 times, an update 1.0 to 1.15 times what the
// formulas say beyond them.
struct MemoryModel {
  ModelConfig config;
  c10::Device device = c10::Device(c10::kCPU);
  c10::ScalarType dtype = c10::ScalarType::Float;
  LoraOptions lora{};              // rank 0: the weights themselves are trained
  bool checkpoint_layers = false;  // keep each layer's input, run it again on the way back

  int64_t parameters() const;
  int64_t trained_parameters() const;  // the adapters', if there are any
  int64_t weight_bytes() const;        // with the adapters
  int64_t rope_table_bytes() const;
  int64_t key_value_bytes_per_token() const;

  // While one step runs: activations of `rows` rows, and the logits of those that draw.
  int64_t step_activation_bytes(int64_t rows) const;
  int64_t step_logit_bytes(int64_t drawing_rows) const;

  int64_t gradient_bytes() const;
  int64_t optimizer_bytes() const;  // AdamW's two moments, and the master copy of half types
  // What autograd keeps of each packed token until its backward pass.
  int64_t saved_bytes_per_token() const;
  // Beyond that, at the worst moment: the logits of one chunk, or the gradients inside a layer
  // with, under checkpoint_layers, all that autograd keeps of that one.
  int64_t logit_chunk_bytes(int64_t packed_tokens, int64_t chunk) const;
  int64_t layer_backward_bytes(int64_t packed_tokens) const;
};

}  // namespace treepo
