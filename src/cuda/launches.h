#pragma once

#include "kernels/cuda_kernels.h"

// The functions of the table; each file of kernels defines some of them.
namespace treepo::cuda {

int rms_norm(void* stream, CudaType type, const void* x, const void* weight, float eps,
             int64_t rows, int64_t n, void* out, float* inverse_rms);
int rms_norm_backward(void* stream, CudaType type, const void* grad_out, const void* x,
                      const void* weight, const float* inverse_rms, int64_t rows, int64_t n,
                      int64_t strips, void* grad_x, float* grad_weight_parts);
int rotate(void* stream, const CudaRotate& work);
int swiglu(void* stream, CudaType type, const void* gate_up, int64_t rows, int64_t n, void* out);
int swiglu_backward(void* stream, CudaType type, const void* grad_out, const void* gate_up,
                    int64_t rows, int64_t n, void* grad_gate_up);
int tree_attention(void* stream, const CudaTreeAttention& work);
int draw_tokens(void* stream, const CudaDraw& work);
int log_softmax_statistics(void* stream, const CudaLogSoftmax& work);
int log_softmax_gradient(void* stream, const CudaLogSoftmax& work);
int adamw(void* stream, const CudaAdamW& work);
int squared_norm(void* stream, const float* values, int64_t size, double* parts);
int list_keys(void* stream, const CudaKeyRun* runs, int64_t num_runs, int32_t* keys);
int packed_attention_forward(void* stream, const CudaPackedAttention& work);
int packed_attention_backward(void* stream, const CudaPackedAttention& work);
std::unique_ptr<CudaGraphRecorder> make_graph_recorder(int device);

}  // namespace treepo::cuda
