#pragma once

#include <memory>
#include <span>

#include "kernels/tree_attention.h"  // AttentionShape
#include "model/decoder.h"           // AttentionLayer

namespace treepo {

// model/packed_attention.h by the CUDA kernels: the same meaning, computed from bfloat16 or float16
// with sums in float32; the same input gives the same bits, forward and backward.
class CudaPackedLayer : public AttentionLayer {
 public:
  struct Plan;  // on the device

  // Whether the kernels take tensors of this device, dtype and shape.
  static bool serves(c10::Device device, c10::ScalarType dtype, const AttentionShape& shape);

  CudaPackedLayer(const AttentionShape& shape, std::span<const int32_t> subtree_end,
                  c10::Device device, c10::ScalarType dtype);

  at::Tensor attend(int64_t layer, const at::Tensor& qkv) override;

 private:
  std::shared_ptr<const Plan> plan_;
};

}  // namespace treepo
