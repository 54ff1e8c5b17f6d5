#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "kernels/tree_attention_plan.h"
#include "model/decoder.h"     // AttentionLayer
#include "model/step_model.h"  // StepBatch

namespace treepo {

// Keys and values of all layers, in pages, as kernels/tree_attention.h wants them. For the CUDA
// kernels keys are a view of memory that is laid out like the values.
struct PagedCache {
  at::Tensor keys;           // [layers, pages, num_kv_heads, head_dim, page_tokens]
  at::Tensor values;         // [layers, pages, num_kv_heads, page_tokens, head_dim]
  TreeAttentionPlan plan{};  // of the step at work, for the CPU kernels
};

// What a model of this dtype stores them as. They come out of the decoder in its own type, in which
// they lose nothing; but the CPU kernels do not know float16.
c10::ScalarType key_value_dtype(c10::Device device, c10::ScalarType dtype);

enum class CacheLayout { tokens_inside, tokens_outside };  // of keys, within a page

// All zero. Throws c10::Error where memory does not suffice.
PagedCache make_paged_cache(int64_t layers, int64_t pages, int64_t page_tokens,
                            const AttentionShape& shape, const at::TensorOptions& options,
                            CacheLayout layout = CacheLayout::tokens_inside);

// Attention of one step: stores the rows' keys and values where batch.slots says, then reads what
// batch.attention lists. Arithmetic in the cache's dtype. Batch and cache must outlive it.
std::unique_ptr<AttentionLayer> cached_attention_kernels(const StepBatch& batch, PagedCache& cache);

// The same by plain tensor operations on any device: gathers each query's keys, so that keys which
// many queries share are read as often.
std::unique_ptr<AttentionLayer> cached_attention_tensors(const StepBatch& batch, PagedCache& cache);

}  // namespace treepo
