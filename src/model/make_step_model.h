#pragma once

#include <memory>
#include <string>

#include "config/options.h"  // EngineOptions
#include "model/decoder.h"
#include "model/step_model.h"

namespace treepo {

// The decoder as rollout sees it, for an option model.device (model/device.h): by the best kernels,
// or, after "checked", side by side with plain tensor operations; "checked:cuda" compares the GPU
// with a copy of the model on the CPU. The decoder must outlive it.
std::unique_ptr<StepModel> make_step_model(const Decoder& decoder, const std::string& device,
                                           const EngineOptions& engine = {});

}  // namespace treepo
