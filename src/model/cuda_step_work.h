#pragma once

#include "kernels/cuda_kernels.h"  // CudaTreeAttention
#include "model/staged_arrays.h"

namespace treepo {

// All that the launches of a step depend on, but for the numbers in device memory that they read:
// steps whose works are equal take the same kernels with the same arguments.
struct CudaStepWork {
  const void* arrays = nullptr;  // StagedArrays::memory
  StagedArrays::Place tokens, positions, slots, drawing_rows, draw_rows, uniforms, drawn;
  CudaTreeAttention attention{};  // what tree_attention_work gives
  SamplingParams sampling{};
  const void *keys = nullptr, *values = nullptr;
  int64_t num_pages = 0;
  const void *weights = nullptr, *adapters = nullptr;  // null: none in use

  bool operator==(const CudaStepWork&) const = default;
};

}  // namespace treepo
