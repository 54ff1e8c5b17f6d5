#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "learn/pack.h"
#include "learn/token_logprobs.h"
#include "model/decoder.h"

namespace treepo {

// How packs go through the model.
struct PackRunOptions {
  double temperature = 1.0;   // that of sampling
  int64_t max_tokens = 8192;  // packed tokens run at once
  int64_t logit_chunk_tokens = 1024;
  bool packed = true;              // false: every trajectory apart
  bool checkpoint_layers = false;  // backward runs each layer again: less memory, more time
  // Hold each forward pass against plain tensor operations (check_packed_hidden).
  bool checked = false;
};

// Log-probs of the pack's targets and entropies at its sources, differentiable where gradients are
// on.
TokenLogprobs run_pack(const Decoder& decoder, const PackedTrees& pack,
                       const PackRunOptions& options);

// The same targets without gradients, at temperature 1.
TargetScores score_pack(const Decoder& decoder, const PackedTrees& pack,
                        const PackRunOptions& options);

std::vector<double> to_host(const at::Tensor& values);

// Adds to the decoder's gradients, given the loss's gradient with respect to run_pack's results;
// an empty entropy_gradient stands for zeros.
void backward_pack(const TokenLogprobs& outputs, std::span<const double> logprob_gradient,
                   std::span<const double> entropy_gradient);

// The trees as packs of at most options.max_tokens.
std::vector<PackedTrees> make_packs(std::span<const TrainingTree> trees, LeafWeight weighting,
                                    const PackRunOptions& options,
                                    MaskedLeaves masked = MaskedLeaves::packed);

}  // namespace treepo
