#pragma once

#include <string>
#include <vector>

#include "model/model_config.h"

namespace treepo {

// Shapes to measure with, of random weights: quickstart, 89m, and those of Qwen2.5 at 0.5b, 1.5b
// and 7b. Throws Error on another name.
ModelConfig named_model_config(const std::string& name);

std::vector<std::string> model_shape_names();

}  // namespace treepo
