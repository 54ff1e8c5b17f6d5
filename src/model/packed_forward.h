#pragma once

#include <ATen/core/Tensor.h>

#include "model/decoder.h"
#include "model/packed_sequence.h"

namespace treepo {

// Hidden states after the last norm of every packed token, [N, hidden_size], differentiable.
// Each tree's shared tokens run once; a token sees its own path only. Throws Error if a path is
// longer than the model's context or a token is outside its vocabulary.
at::Tensor packed_hidden(const Decoder& decoder, const PackedSequence& sequence);

}  // namespace treepo
