#include "emulated_table.h"

#include <stdexcept>
#include <utility>

#include "cuda/launches.h"

namespace treepo {

namespace {

// A graph that keeps what hands its work over, and so runs on what memory holds by then.
class EmulatedGraph : public CudaGraph {
 public:
  explicit EmulatedGraph(std::function<void()> hand_over) : hand_over_(std::move(hand_over)) {
    ++emulated_graphs.alive;
  }
  ~EmulatedGraph() override { --emulated_graphs.alive; }
  void replay(void* /*stream*/) override {
    ++emulated_graphs.replayed;
    hand_over_();
  }

 private:
  std::function<void()> hand_over_;
};

class EmulatedRecorder : public CudaGraphRecorder {
 public:
  std::unique_ptr<CudaGraph> record(void* /*stream*/,
                                    const std::function<void()>& hand_over) override {
    if (emulated_graphs.fail) throw std::runtime_error("no capture\nat all");
    ++emulated_graphs.recorded;
    return std::make_unique<EmulatedGraph>(hand_over);
  }
};

}  // namespace

const CudaKernels& emulated_cuda_kernels() {
  static constexpr CudaKernels kTable = {
      .num_multiprocessors = [](int /*device*/) { return emulated_multiprocessors; },
      .error_text = [](int /*error*/) { return "no error"; },
      .rms_norm = cuda::rms_norm,
      .rms_norm_backward = cuda::rms_norm_backward,
      .rotate = cuda::rotate,
      .swiglu = cuda::swiglu,
      .swiglu_backward = cuda::swiglu_backward,
      .tree_attention = cuda::tree_attention,
      .draw_tokens = cuda::draw_tokens,
      .log_softmax_statistics = cuda::log_softmax_statistics,
      .log_softmax_gradient = cuda::log_softmax_gradient,
      .adamw = cuda::adamw,
      .squared_norm = cuda::squared_norm,
      .list_keys = cuda::list_keys,
      .packed_attention_forward = cuda::packed_attention_forward,
      .packed_attention_backward = cuda::packed_attention_backward,
      .make_graph_recorder = [](int /*device*/) -> std::unique_ptr<CudaGraphRecorder> {
        return std::make_unique<EmulatedRecorder>();
      }};
  return kTable;
}

}  // namespace treepo
