#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "kernels/packed_attention.h"  // PackedAttentionPlan, AttentionShape
#include "model/decoder.h"             // AttentionLayer
#include "model/kernel_choice.h"

namespace treepo {

// Attention within packed trees, differentiable: token i sees token j iff j <= i < subtree_end[j].
// qkv: [N, num_heads + 2 * num_kv_heads, head_dim]; returns [N, num_heads * head_dim]. Scores are
// divided by sqrt(head_dim). float64 is computed in float64, all else in float32. Memory grows with
// N, not with its square; the same input gives the same bits, forward and backward.
at::Tensor packed_attention(const at::Tensor& qkv, const AttentionShape& shape,
                            std::shared_ptr<const PackedAttentionPlan> plan,
                            KernelChoice kernels = KernelChoice::best);

class PackedAttention : public AttentionLayer {
 public:
  PackedAttention(const AttentionShape& shape, std::shared_ptr<const PackedAttentionPlan> plan,
                  KernelChoice kernels = KernelChoice::best)
      : shape_(shape), plan_(std::move(plan)), kernels_(kernels) {}

  at::Tensor attend(int64_t layer, const at::Tensor& qkv) override;

 private:
  AttentionShape shape_;
  std::shared_ptr<const PackedAttentionPlan> plan_;
  KernelChoice kernels_;
};

}  // namespace treepo
