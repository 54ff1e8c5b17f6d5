#pragma once

#include <cstdint>
#include <string>
#include <string_view>

// Updates that were skipped because their gradient was not finite, in reinforcement learning and in
// supervised training.
namespace treepo {

struct SkippedUpdates {
  int64_t total = 0;
  int64_t in_a_row = 0;  // the last so many of the updates so far

  void count(bool skipped);
};

// `where`: "step 3"; `learned_from`: names of the update's queries or examples.
void warn_of_skipped_update(std::string_view where, double gradient_norm,
                            std::string_view learned_from);

// Throws the Error that ends a run. checkpoint: folder with the weights before the skipped updates;
// `remedies`: options that may help, besides the weights' type; `items`: what the warnings name.
[[noreturn]] void throw_too_many_skipped(int64_t in_a_row, const std::string& checkpoint,
                                         std::string_view remedies, const std::string& dtype,
                                         std::string_view items);

}  // namespace treepo
