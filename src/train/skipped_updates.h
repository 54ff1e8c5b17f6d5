#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "train/batch_collector.h"  // ScoredTree

// What is said of updates that were skipped because their gradient was not finite.
namespace treepo {

// A warning that names every query of the update.
void warn_of_skipped_update(int64_t step, double gradient_norm, std::span<const ScoredTree> trees);

// Throws the Error that ends a run. checkpoint: folder with the weights before the skipped updates.
[[noreturn]] void throw_too_many_skipped(int64_t in_a_row, const std::string& checkpoint,
                                         const std::string& dtype);

}  // namespace treepo
