#pragma once

#include <optional>
#include <vector>

#include "kernels/cuda_tree_plan.h"
#include "model/cached_attention.h"  // PagedCache
#include "model/cuda_step_work.h"
#include "model/decoder.h"
#include "model/draw_tokens.h"  // TokenDraw
#include "model/side_stream.h"
#include "model/staged_arrays.h"
#include "model/step_graphs.h"
#include "model/step_model.h"

namespace treepo {

class StepObserver;

enum class CudaGraphs { on, off };

// One step of rollout by the CUDA kernels. The step's arrays go to the device in one copy, all work
// is handed to the current stream, and the host waits once, for the draws.
//
// Handing over some 300 kernels one by one takes the host longer than few rows take the device.
// With graphs, steps of up to kMostGraphRows rows are padded to sizes that recur and replayed
// whole.
class CudaStep {
 public:
  static constexpr int32_t kMostGraphRows = 512;

  // Whether the kernels take the decoder's device, dtype and shape. The cache must then be made
  // with CacheLayout::tokens_outside.
  static bool serves(const Decoder& decoder);

  CudaStep(const Decoder& decoder, CudaGraphs graphs);

  // drawing_rows: rows of the batch that draws have, each once; draws[i].row counts in it. cache:
  // the same object at each call.
  // `observer` (null: nobody) sees the logits; the layers' queries and keys are rotated on the way.
  void run(const StepBatch& batch, PagedCache& cache, const std::vector<int32_t>& drawing_rows,
           const std::vector<TokenDraw>& draws, std::vector<DrawnToken>& drawn,
           StepProfile& profile, StepObserver* observer);

 private:
  // What graphs need: a stream that can be recorded.
  struct Graphs {
    SideStream stream;
    StepGraphs steps;
  };

  CudaStepWork prepare(const StepBatch& batch, const PagedCache& cache,
                       std::vector<int32_t> drawing_rows, const std::vector<TokenDraw>& draws,
                       bool padded);
  at::Tensor hand_over(const CudaStepWork& work, PagedCache& cache, double& attention_seconds);

  const Decoder& decoder_;
  const CudaKernels& kernels_;
  StagedArrays arrays_;
  CudaTreePlan plan_;
  std::optional<Graphs> graphs_;
};

}  // namespace treepo
