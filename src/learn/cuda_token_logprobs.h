#pragma once

#include "learn/token_logprobs.h"

namespace treepo {

// token_logprobs and score_targets by the CUDA kernels (kernels/cuda_kernels.h). Logits have
// hidden's dtype, so that a half-width head reads and writes half the bytes and rounds them as the
// sampler does; what is computed from them is float32. A gradient by a logit is rounded once.

// Whether the kernels serve hidden's device and dtype: all but float64.
bool cuda_serves_token_logprobs(const at::Tensor& hidden);

TokenLogprobs cuda_token_logprobs(const at::Tensor& hidden, const at::Tensor& head_weight,
                                  const at::Tensor& source_row, const at::Tensor& target_source,
                                  const at::Tensor& target_token, double temperature, int64_t chunk,
                                  const at::Tensor& weight_gradient);

TargetScores cuda_score_targets(const at::Tensor& hidden, const at::Tensor& head_weight,
                                const at::Tensor& source_row, const at::Tensor& target_source,
                                const at::Tensor& target_token, int64_t chunk);

}  // namespace treepo
