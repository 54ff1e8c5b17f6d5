#pragma once

#include <vector>

#include "kernels/cuda_tree_plan.h"
#include "model/cached_attention.h"  // PagedCache
#include "model/decoder.h"
#include "model/draw_tokens.h"  // TokenDraw
#include "model/staged_arrays.h"
#include "model/step_model.h"

namespace treepo {

class StepObserver;

// One step of rollout by the CUDA kernels. The step's arrays go to the device in one copy, all work
// is handed to the current stream, and the host waits once, for the draws.
class CudaStep {
 public:
  // Whether the kernels take the decoder's device, dtype and shape. The cache must then be made
  // with CacheLayout::tokens_outside.
  static bool serves(const Decoder& decoder);

  explicit CudaStep(const Decoder& decoder) : decoder_(decoder) {}

  // drawing_rows: rows of the batch that draws have, each once; draws[i].row counts in it.
  // `observer` (null: nobody) sees the logits; the layers' queries and keys are rotated on the way.
  void run(const StepBatch& batch, PagedCache& cache, const std::vector<int32_t>& drawing_rows,
           const std::vector<TokenDraw>& draws, std::vector<DrawnToken>& drawn,
           StepProfile& profile, StepObserver* observer);

 private:
  const Decoder& decoder_;
  StagedArrays arrays_;
  CudaTreePlan plan_;
};

}  // namespace treepo
