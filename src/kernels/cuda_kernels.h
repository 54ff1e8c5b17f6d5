#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cuda_graphs.h"       // CudaGraphRecorder
#include "kernels/cuda_packed_plan.h"  // CudaKeyTask
#include "kernels/cuda_tree_plan.h"    // CudaTreeTile
#include "kernels/sampling.h"          // SamplingParams, DrawnToken
#include "kernels/tree_attention.h"    // AttentionShape

namespace treepo {

// What libtreepo_cuda.so offers: one table of functions on device pointers. The program that opens
// the library links nothing of CUDA; tests compile the same sources for the CPU and get the same
// table for pointers to host memory.
//
// Each function hands work to `stream` (a cudaStream_t) and returns at once: 0, or a CUDA error
// code. Storage is bfloat16 or float16, arithmetic float, unless said otherwise. Arrays are
// contiguous and begin at multiples of 16 bytes. Results are the same bits on every run.
enum class CudaType : int32_t { bfloat16, float16, float32 };  // the last for logits only

// Sizes that the kernels take. Others go through plain tensor operations.
inline bool cuda_kernels_take_rows(int64_t n) {  // of norm and SwiGLU
  return n > 0 && n % 8 == 0 && n <= 65536;
}
inline constexpr int64_t kCudaNormBackwardLimit = 8192;
inline bool cuda_kernels_take_head(int64_t head_dim) {  // of rotary embedding and append
  return head_dim > 0 && head_dim % 16 == 0;
}
inline bool cuda_kernels_take(const AttentionShape& shape) {  // of both attentions
  return (shape.head_dim == 64 || shape.head_dim == 128) && shape.num_kv_heads > 0 &&
         shape.num_heads % shape.num_kv_heads == 0 && shape.num_heads / shape.num_kv_heads <= 64;
}
inline constexpr int32_t kCudaVocabLimit = 1 << 19;

// Rotary embedding of the first `rotated_heads` heads, and where `slots` is given, keys and values
// to the pages of one layer in the same pass.
struct CudaRotate {
  CudaType type{};
  const void* x = nullptr;       // [rows, heads, head_dim]
  const float* table = nullptr;  // [rows, head_dim]: cosines, then sines
  int64_t rows = 0;
  int32_t heads = 0, rotated_heads = 0, head_dim = 0;
  bool inverse = false;  // turns the other way: the backward of the first
  void* out = nullptr;   // like x, may be x

  const int32_t* slots = nullptr;  // [rows]: page * page_tokens + offset; -1: not stored
  int32_t num_kv_heads = 0, page_tokens = 0;
  void *keys = nullptr, *values = nullptr;  // [pages, num_kv_heads, page_tokens, head_dim]
};

// Attention over the paged cache, as kernels/tree_attention.h means it. Keys lie token by token,
// unlike the CPU's: a tensor core's operand wants a key's numbers side by side, and a copy to
// shared memory takes 16 bytes of one key at a time.
struct CudaTreeAttention {
  CudaType type{};
  AttentionShape shape;
  float scale = 1;
  int32_t page_tokens = 0, num_queries = 0;
  const void* queries = nullptr;  // [num_queries, num_heads, head_dim] and what follows in a row
  int64_t query_stride = 0;       // elements from row to row
  const void *keys = nullptr, *values = nullptr;  // [pages, num_kv_heads, page_tokens, head_dim]
  void* out = nullptr;                            // [num_queries, num_heads, head_dim]

  // CudaTreePlan's arrays on the device.
  int32_t num_small_tiles = 0, num_large_tiles = 0, num_parts = 0;
  const CudaTreeTile* tiles = nullptr;
  const int32_t *piece_page = nullptr, *piece_tokens = nullptr, *piece_first_key = nullptr;
  const int32_t *entry_query = nullptr, *entry_visible = nullptr, *entry_part = nullptr;
  const int32_t* part_begin = nullptr;
  float* scratch = nullptr;  // [num_parts * num_heads * (head_dim + 2)]

  bool operator==(const CudaTreeAttention&) const = default;
};

// Draws as kernels/sampling.h means them: one block of threads for each draw. Probabilities are
// float exponentials; masses are sums of integers, so that no order of addition shows.
struct CudaDraw {
  CudaType type{};
  const void* logits = nullptr;  // [rows, vocab_size]
  int32_t vocab_size = 0, num_draws = 0;
  const int32_t* rows = nullptr;     // [num_draws]
  const double* uniforms = nullptr;  // [num_draws]
  SamplingParams params;
  DrawnToken* drawn = nullptr;  // [num_draws]; token -1 where logits are not finite
};

// Log-softmax as kernels/log_softmax.h means it, and log-probs of target tokens: sums in a fixed
// order, float within a thread and double between them. Row r's targets are
// [target_begin[r], target_begin[r + 1]).
struct CudaLogSoftmax {
  CudaType type{};
  void* logits = nullptr;  // [rows, vocab_size]; the gradient overwrites them
  int64_t rows = 0;
  int32_t vocab_size = 0;
  float inverse_temperature = 1;
  const int64_t* target_begin = nullptr;  // [rows + 1]
  const int64_t* target_token = nullptr;  // [targets]

  // What the statistics write and the gradient reads.
  float *largest = nullptr, *log_sum = nullptr, *entropy = nullptr;  // [rows]
  float* logprob = nullptr;                                          // [targets]

  // Gradient only: the loss's derivatives.
  const float* d_logprob = nullptr;  // [targets]
  const float* d_entropy = nullptr;  // [rows]; null: 0
};

// Attention of packed trees (kernels/packed_attention.h), forward and backward.
struct CudaPackedAttention {
  CudaType type{};
  AttentionShape shape;
  float scale = 1;
  int32_t num_tokens = 0;
  const void* qkv = nullptr;  // [num_tokens, num_heads + 2 * num_kv_heads, head_dim]
  void* out = nullptr;        // [num_tokens, num_heads, head_dim]
  float* lse = nullptr;       // [num_tokens, num_heads]

  // CudaPackedPlan's arrays on the device.
  const int32_t* subtree_end = nullptr;
  int32_t num_blocks = 0;
  const CudaQueryBlock* blocks = nullptr;
  const int32_t* keys = nullptr;  // as list_keys writes them

  // Backward only.
  const void* grad_out = nullptr;  // [num_tokens, num_heads, head_dim]
  void* grad_qkv = nullptr;        // like qkv, overwritten
  int32_t num_key_blocks = 0, num_key_tasks = 0;
  const CudaKeyTask* key_tasks = nullptr;
  const int32_t* key_task_begin = nullptr;  // [num_key_blocks + 1]
  float* delta = nullptr;                   // [num_tokens, num_heads], scratch
  float* scratch = nullptr;  // [num_key_tasks, num_kv_heads, 2, kCudaKeyBlock, head_dim]
};

// One step of AdamW (learn/optimizer.h) for the elements [begin, end) of flat arrays.
struct AdamWNumbers {
  float gradient_scale = 1, keep = 1, beta1_rest = 0, beta2 = 0, beta2_rest = 0, root_scale = 1;
  float epsilon = 0, step_size = 0;
};
struct CudaAdamW {
  int64_t begin = 0, end = 0;
  const float* gradients = nullptr;
  float *weights = nullptr, *m = nullptr, *v = nullptr;
  CudaType rounded_type{};
  void* rounded = nullptr;  // weights of half width, written; null: none
  AdamWNumbers numbers;
};
inline int64_t cuda_norm_parts(int64_t size) {  // partial sums of a norm, from 1 to 1024
  return size <= 1024 ? 1 : size <= 1024 * 1024 ? (size + 1023) / 1024 : 1024;
}

struct CudaKernels {
  int (*num_multiprocessors)(int device);
  const char* (*error_text)(int error);

  // x, out: [rows, n]; weight: [n]; inverse_rms: [rows] or null.
  int (*rms_norm)(void* stream, CudaType type, const void* x, const void* weight, float eps,
                  int64_t rows, int64_t n, void* out, float* inverse_rms);
  // grad_weight_parts: [strips, n], whose sum over strips is the gradient of the weight.
  int (*rms_norm_backward)(void* stream, CudaType type, const void* grad_out, const void* x,
                           const void* weight, const float* inverse_rms, int64_t rows, int64_t n,
                           int64_t strips, void* grad_x, float* grad_weight_parts);
  int (*rotate)(void* stream, const CudaRotate& work);
  // gate_up: [rows, 2 * n], gate first; out: [rows, n].
  int (*swiglu)(void* stream, CudaType type, const void* gate_up, int64_t rows, int64_t n,
                void* out);
  int (*swiglu_backward)(void* stream, CudaType type, const void* grad_out, const void* gate_up,
                         int64_t rows, int64_t n, void* grad_gate_up);
  int (*tree_attention)(void* stream, const CudaTreeAttention& work);
  int (*draw_tokens)(void* stream, const CudaDraw& work);
  int (*log_softmax_statistics)(void* stream, const CudaLogSoftmax& work);
  int (*log_softmax_gradient)(void* stream, const CudaLogSoftmax& work);
  int (*adamw)(void* stream, const CudaAdamW& work);
  // parts: [cuda_norm_parts(size)], whose sum is that of the values' squares.
  int (*squared_norm)(void* stream, const float* values, int64_t size, double* parts);
  // keys of all runs; see CudaPackedPlan.
  int (*list_keys)(void* stream, const CudaKeyRun* runs, int64_t num_runs, int32_t* keys);
  int (*packed_attention_forward)(void* stream, const CudaPackedAttention& work);
  int (*packed_attention_backward)(void* stream, const CudaPackedAttention& work);

  std::unique_ptr<CudaGraphRecorder> (*make_graph_recorder)(int device);
};

// Tells tables apart whose structs differ, so that a library of another build is not called.
constexpr uint64_t cuda_table_layout() {
  uint64_t layout = 1;
  for (const uint64_t size :
       {sizeof(CudaKernels), sizeof(CudaRotate), sizeof(CudaTreeAttention), sizeof(CudaTreeTile),
        sizeof(CudaDraw), sizeof(DrawnToken), sizeof(CudaLogSoftmax), sizeof(CudaAdamW),
        sizeof(CudaPackedAttention), sizeof(CudaQueryBlock), sizeof(CudaKeyTask),
        sizeof(CudaKeyRun)})
    layout = layout * 1'000'003 + size;
  return layout;
}

}  // namespace treepo

// The library's entry points; the program finds them by name.
extern "C" {
// Null where `layout` is not the library's cuda_table_layout().
const treepo::CudaKernels* treepo_cuda_kernels(uint64_t layout);
int treepo_cuda_device_report(int device, char* text, uint64_t size);
}
