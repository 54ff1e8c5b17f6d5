#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "kernels/cuda_kernels.h"  // CudaDraw
#include "kernels/sampling.h"

namespace treepo {

// What one draw needs: a row of the logits and its random number in [0, 1).
struct TokenDraw {
  int32_t row = 0;
  double uniform = 0;
};

// Draws from logits [rows, vocab_size] on the CPU (float32 or float64), as draw_token does. Throws
// Error on logits that are not finite.
void draw_tokens_cpu(const at::Tensor& logits, const SamplingParams& params,
                     std::span<const TokenDraw> draws, std::vector<DrawnToken>& drawn);

// The same by tensor operations where the logits lie; four numbers for each draw come back.
void draw_tokens_on_device(const at::Tensor& logits, const SamplingParams& params,
                           std::span<const TokenDraw> draws, std::vector<DrawnToken>& drawn);

// Hands such draws to the CUDA kernel, from logits in bfloat16, float16 or float32. work: all but
// type, logits and vocab_size.
void draw_tokens_cuda(const at::Tensor& logits, CudaDraw work);

// Throws Error that names the token where logits were not finite for the CUDA kernel.
void check_drawn(const at::Tensor& logits, std::span<const TokenDraw> draws,
                 std::span<const DrawnToken> drawn);

}  // namespace treepo
