// Stream capture beside PyTorch's caching allocator, which gives a capture memory from a pool of
// its own. As at::cuda::CUDAGraph does it, without random number generators, and so that a capture
// that fails leaves stream and allocator as they were.
#include <ATen/cuda/CUDAGraph.h>  // graph_pool_handle
#include <c10/cuda/CUDACachingAllocator.h>
#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

#include "cuda/launches.h"

namespace treepo {

namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

// Of the caching allocator; counts those who refer to it.
struct Pool {
  c10::DeviceIndex device;
  c10::MempoolId_t id;
};

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // or the next one who asks takes it for its own
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

class Graph : public CudaGraph {
 public:
  Graph(cudaGraphExec_t exec, Pool pool) : exec_(exec), pool_(pool) {}
  ~Graph() override {
    cudaGraphExecDestroy(exec_);  // a replay under way ends first
    allocator::releasePool(pool_.device, pool_.id);
  }
  void replay(void* stream) override {
    check(cudaGraphLaunch(exec_, static_cast<cudaStream_t>(stream)), "cudaGraphLaunch");
  }

 private:
  cudaGraphExec_t exec_;
  Pool pool_;
};

// While it lives, tensors made on the stream lie in the pool, to which it then leaves a reference.
class PoolScope {
 public:
  PoolScope(Pool pool, cudaStream_t stream) : pool_(pool) {
    allocator::beginAllocateToPool(pool.device, pool.id,
                                   [stream](cudaStream_t other) { return other == stream; });
  }
  ~PoolScope() { allocator::endAllocateToPool(pool_.device, pool_.id); }
  PoolScope(const PoolScope&) = delete;
  PoolScope& operator=(const PoolScope&) = delete;

 private:
  Pool pool_;
};

// Ends the capture in any case.
cudaGraph_t capture(cudaStream_t stream, const std::function<void()>& hand_over) {
  // Calls that cannot be captured fail in this thread only.
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  cudaGraph_t graph = nullptr;
  try {
    hand_over();
  } catch (...) {
    if (cudaStreamEndCapture(stream, &graph) == cudaSuccess) cudaGraphDestroy(graph);
    cudaGetLastError();
    throw;
  }
  check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
  return graph;
}

cudaGraphExec_t instantiate(cudaGraph_t graph) {
  cudaGraphExec_t exec = nullptr;
  const cudaError_t error = cudaGraphInstantiateWithFlags(&exec, graph, 0);
  cudaGraphDestroy(graph);
  check(error, "cudaGraphInstantiate");
  return exec;
}

class Recorder : public CudaGraphRecorder {
 public:
  explicit Recorder(int device)
      : pool_{static_cast<c10::DeviceIndex>(device), at::cuda::graph_pool_handle()} {
    allocator::createOrIncrefPool(pool_.device, pool_.id);  // the pool outlasts its last graph
  }
  ~Recorder() override { allocator::releasePool(pool_.device, pool_.id); }

  std::unique_ptr<CudaGraph> record(void* stream, const std::function<void()>& hand_over) override {
    try {
      return attempt(static_cast<cudaStream_t>(stream), hand_over);
    } catch (const c10::OutOfMemoryError&) {
      allocator::emptyCache();  // which is not done for the sake of a capture under way
      return attempt(static_cast<cudaStream_t>(stream), hand_over);
    }
  }

 private:
  std::unique_ptr<CudaGraph> attempt(cudaStream_t stream, const std::function<void()>& hand_over) {
    try {
      const PoolScope scope(pool_, stream);
      return std::make_unique<Graph>(instantiate(capture(stream, hand_over)), pool_);
    } catch (...) {
      allocator::releasePool(pool_.device, pool_.id);
      throw;
    }
  }

  Pool pool_;
};

}  // namespace

std::unique_ptr<CudaGraphRecorder> cuda::make_graph_recorder(int device) {
  return std::make_unique<Recorder>(device);
}

}  // namespace treepo
