#include "model/step_graphs.h"

#include <algorithm>
#include <exception>

#include "base/log.h"

namespace treepo {

bool StepGraphs::run(const CudaStepWork& work, void* stream,
                     const std::function<void()>& hand_over) {
  if (!on_) return false;
  Known* known = find(work);
  if (known == nullptr) {
    remember(work);
    return false;
  }
  try {
    if (!recorder_) recorder_ = kernels_.make_graph_recorder(device_);
    if (!known->graph) known->graph = recorder_->record(stream, hand_over);
    known->graph->replay(stream);
    return true;
  } catch (const std::exception& error) {
    give_up(error.what());
    return false;
  }
}

// Moves it to the front.
StepGraphs::Known* StepGraphs::find(const CudaStepWork& work) {
  const auto found = std::find_if(known_.begin(), known_.end(),
                                  [&](const Known& known) { return known.work == work; });
  if (found == known_.end()) return nullptr;
  known_.splice(known_.begin(), known_, found);
  return &known_.front();
}

void StepGraphs::remember(const CudaStepWork& work) {
  known_.push_front({work, nullptr});
  if (known_.size() > most_) known_.pop_back();
}

void StepGraphs::give_up(const char* why) {
  const std::string_view text = why;
  log_warning("CUDA graphs are off from here on, steps take more of the CPU's time: {}",
              text.substr(0, text.find('\n')));
  on_ = false;
  known_.clear();
  recorder_.reset();
}

}  // namespace treepo
