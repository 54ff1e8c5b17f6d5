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

// What is told of a run that ends for as many skipped updates in a row as it may have.
struct TooManySkipped {
  std::string where;  // of the last one: "step 3"
  int64_t in_a_row = 0;
  std::string weights;           // folder with the weights before the skipped updates
  std::string_view remedies;     // options that may help, besides the weights' type
  std::string_view dtype;        // the weights' type
  std::string_view items;        // what the warnings name: "queries"
  std::string_view with_resume;  // what --resume does: "goes on with the next queries"
};

[[noreturn]] void throw_too_many_skipped(const TooManySkipped& end);

}  // namespace treepo
