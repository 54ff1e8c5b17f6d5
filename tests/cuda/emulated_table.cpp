#include "emulated_table.h"

#include "cuda/launches.h"

namespace treepo {

const CudaKernels& emulated_cuda_kernels() {
  static constexpr CudaKernels kTable = {
      .num_multiprocessors = [](int /*device*/) { return emulated_multiprocessors; },
      .error_text = [](int /*error*/) { return "no error"; },
      .rms_norm = cuda::rms_norm,
      .rms_norm_backward = cuda::rms_norm_backward,
      .rotate = cuda::rotate,
      .swiglu = cuda::swiglu,
      .swiglu_backward = cuda::swiglu_backward,
      .tree_attention = cuda::tree_attention,
      .draw_tokens = cuda::draw_tokens,
      .log_softmax_statistics = cuda::log_softmax_statistics,
      .log_softmax_gradient = cuda::log_softmax_gradient,
      .adamw = cuda::adamw,
      .squared_norm = cuda::squared_norm,
      .list_keys = cuda::list_keys,
      .packed_attention_forward = cuda::packed_attention_forward,
      .packed_attention_backward = cuda::packed_attention_backward};
  return kTable;
}

}  // namespace treepo
