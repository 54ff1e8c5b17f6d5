#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "model/decoder.h"     // AttentionLayer
#include "model/step_model.h"  // StepBatch

namespace treepo {

// Keys and values of all layers, in pages: both [layers, pages, num_kv_heads, page_tokens,
// head_dim].
struct PagedCache {
  at::Tensor keys, values;
};

// Attention of one step: stores the rows' keys and values where batch.slots says, then reads what
// batch.attention lists. Arithmetic in the cache's dtype. Batch and cache must outlive it.
std::unique_ptr<AttentionLayer> cached_attention_kernels(const StepBatch& batch, PagedCache& cache);

// The same by plain tensor operations on any device: gathers each query's keys, so that keys which
// many queries share are read as often.
std::unique_ptr<AttentionLayer> cached_attention_tensors(const StepBatch& batch, PagedCache& cache);

}  // namespace treepo
