#pragma once

#include <ATen/core/Tensor.h>

#include "model/decoder.h"
#include "model/packed_sequence.h"

namespace treepo {

// Hidden states after the last norm of every packed token, [N, hidden_size], differentiable.
// Each tree's shared tokens run once; a token sees its own path only. Throws Error if a path is
// longer than the model's context or a token is outside its vocabulary. checkpoint_layers: backward
// runs each layer again from its input, which is all that is kept of it; the same gradients.
at::Tensor packed_hidden(const Decoder& decoder, const PackedSequence& sequence,
                         bool checkpoint_layers = false);

// Holds what packed_hidden gave against plain tensor operations. Throws DifferenceFound
// (model/side_by_side.h) at the first row that differs by more than the dtype's tolerance.
void check_packed_hidden(const Decoder& decoder, const PackedSequence& sequence,
                         const at::Tensor& hidden);

}  // namespace treepo
