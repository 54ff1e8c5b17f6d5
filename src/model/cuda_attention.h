#pragma once

#include "kernels/cuda_kernels.h"
#include "kernels/cuda_tree_plan.h"
#include "model/cached_attention.h"  // PagedCache
#include "model/decoder.h"           // AttentionLayer
#include "model/staged_arrays.h"

namespace treepo {

// Where the arrays of a step's attention lie among the staged ones.
struct StagedTreeWork {
  StagedArrays::Place tiles, piece_page, piece_tokens, piece_first_key;
  StagedArrays::Place entry_query, entry_visible, entry_part, part_begin;
  int32_t page_tokens = 0;
};

StagedTreeWork stage_tree_work(StagedArrays& arrays, const TreeAttentionWork& work,
                               const CudaTreePlan& plan);

// What the kernel is given, of arrays that are uploaded: all but queries, cache, output and
// scratch.
CudaTreeAttention tree_attention_work(const StagedArrays& arrays, const StagedTreeWork& staged,
                                      const CudaTreePlan& plan, const AttentionShape& shape);

// Attention of one step by the CUDA kernels: rotates queries and keys and stores keys and values in
// one pass over qkv, which it overwrites, then attends. Cache (CacheLayout::tokens_outside) and
// arrays must outlive it.
class CudaAttention : public AttentionLayer {
 public:
  // slots: of the step's rows, on the device.
  CudaAttention(const CudaKernels& kernels, PagedCache& cache, const CudaTreeAttention& work,
                const int32_t* slots);

  at::Tensor attend(int64_t layer, const at::Tensor& qkv) override;
  at::Tensor rotate_and_attend(int64_t layer, const at::Tensor& qkv, const at::Tensor& rope,
                               int64_t rotated_heads, KernelChoice kernels) override;

  double seconds() const { return seconds_; }  // that handing work over has taken

 private:
  at::Tensor run(int64_t layer, const at::Tensor& qkv, const float* rope, int64_t rotated_heads);

  const CudaKernels& kernels_;
  PagedCache& cache_;
  CudaTreeAttention attention_;
  CudaRotate rotate_;
  at::Tensor scratch_;
  double seconds_ = 0;
};

}  // namespace treepo
