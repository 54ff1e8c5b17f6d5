#include "model/make_step_model.h"

#include <ATen/ATen.h>

#include "model/checked_step_model.h"
#include "model/device.h"
#include "model/tree_step_model.h"

namespace treepo {

std::unique_ptr<StepModel> make_step_model(const Decoder& decoder, const std::string& device,
                                           const EngineOptions& engine) {
  auto model = std::make_unique<TreeStepModel>(
      decoder, KernelChoice::best, engine.cuda_graphs ? CudaGraphs::on : CudaGraphs::off);
  if (!is_checked_device(device)) return model;
  if (decoder.device().is_cpu())
    return std::make_unique<CheckedStepModel>(
        std::move(model),
        std::make_unique<TreeStepModel>(decoder, KernelChoice::tensor_operations));
  const auto copy = std::make_shared<Decoder>(decoder.copy_on(c10::kCPU));
  return std::make_unique<CheckedStepModel>(std::move(model),
                                            std::make_unique<TreeStepModel>(*copy),
                                            [&decoder, copy] { copy->take_weights(decoder); });
}

}  // namespace treepo
