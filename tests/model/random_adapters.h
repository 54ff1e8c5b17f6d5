#pragma once

#include <ATen/ATen.h>

#include "model/decoder.h"

namespace treepo {

// Draws both matrices of every adapter, so that the adapters change what the decoder computes.
inline void randomize_adapters(Decoder& decoder, uint64_t seed = 1) {
  const at::NoGradGuard no_grad;
  at::manual_seed(seed);
  for (auto& [name, tensor] : decoder.trainable().named_tensors())
    tensor.copy_(at::randn(tensor.sizes(), at::kDouble).mul_(0.2));
}

}  // namespace treepo
