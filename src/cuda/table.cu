#include <cuda_runtime.h>

#include "cuda/launches.h"

namespace {

int num_multiprocessors(int device) {
  int count = 0;
  return cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device) == cudaSuccess
             ? count
             : 1;
}

const char* error_text(int error) {
  return cudaGetErrorString(static_cast<cudaError_t>(error));
}

}  // namespace

const treepo::CudaKernels* treepo_cuda_kernels(uint64_t layout) {
  namespace cuda = treepo::cuda;
  static constexpr treepo::CudaKernels kTable = {
      .num_multiprocessors = num_multiprocessors,
      .error_text = error_text,
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
      .packed_attention_backward = cuda::packed_attention_backward,
      .make_graph_recorder = cuda::make_graph_recorder};
  return layout == treepo::cuda_table_layout() ? &kTable : nullptr;
}
