#pragma once

#include <functional>
#include <list>
#include <memory>

#include "kernels/cuda_graphs.h"
#include "model/cuda_step_work.h"

namespace treepo {

// CUDA graphs of whole steps by what their launches depend on. A work that comes for the second
// time is recorded and replayed from then on; of more than `most` works the least recently used is
// forgotten. Whatever fails is logged once and ends it: then no step is replayed any more.
class StepGraphs {
 public:
  StepGraphs(const CudaKernels& kernels, int device, size_t most = 64)
      : kernels_(kernels), device_(device), most_(most) {}

  bool on() const { return on_; }

  // True: the work is on its way. False: the caller hands it over. `stream` is the current one.
  bool run(const CudaStepWork& work, void* stream, const std::function<void()>& hand_over);

 private:
  struct Known {
    CudaStepWork work;
    std::unique_ptr<CudaGraph> graph;  // null: has come once
  };

  Known* find(const CudaStepWork& work);
  void remember(const CudaStepWork& work);
  void give_up(const char* why);

  const CudaKernels& kernels_;
  int device_;
  size_t most_;
  bool on_ = true;
  std::unique_ptr<CudaGraphRecorder> recorder_;  // outlives its graphs
  std::list<Known> known_;                       // the last used first
};

}  // namespace treepo
