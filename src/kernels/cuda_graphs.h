#pragma once

#include <functional>
#include <memory>

namespace treepo {

// Work that was recorded once and is handed over again in one call: the same kernels with the same
// arguments, on whatever the memory that these point to holds by then.
class CudaGraph {
 public:
  virtual ~CudaGraph() = default;
  virtual void replay(void* stream) = 0;  // a cudaStream_t
};

// Records graphs that share one pool of memory for the tensors made on the way, so none may run
// beside another, and what a replay leaves in such a tensor lasts until the next. Must outlive its
// graphs. Functions throw std::exception, after which the stream works as before.
class CudaGraphRecorder {
 public:
  virtual ~CudaGraphRecorder() = default;

  // What hand_over gives to `stream`, PyTorch's current one and not the default one, is recorded
  // instead of run. It must have run before, so that kernels and workspaces are loaded, and must
  // neither wait for the device nor copy from or to the host.
  virtual std::unique_ptr<CudaGraph> record(void* stream,
                                            const std::function<void()>& hand_over) = 0;
};

}  // namespace treepo
