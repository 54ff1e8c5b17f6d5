#pragma once

#include <cstdint>
#include <string>

#include "report/run_files.h"

namespace treepo {

// What a checkpoint says of itself to whoever finds it
// (https://huggingface.co/docs/hub/model-cards).
struct ModelCard {
  std::string readme;  // README.md: front matter, results, use, data, options, machine
  std::string curves;  // curves.svg, to which the readme links; empty where nothing was measured
};

// Of the checkpoint at `step`: what the run's logs tell up to there.
ModelCard model_card(const RunFiles& run, int64_t step);

// README.md and curves.svg, from the logs in `run_folder`, into the checkpoint's folder.
void write_model_card(const std::string& run_folder, const std::string& checkpoint_folder,
                      int64_t step);

}  // namespace treepo
