#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reward/problem.h"

namespace treepo {

// "Using the numbers [79, 17, 60], create an equation that equals 36."
struct CountdownTask {
  std::vector<int64_t> numbers;
  int64_t target = 0;
};

// From the row's fields "numbers" (or "nums") and "target"; what it lacks, from an answer that is
// such an object, an integer (the target) or an expression (its value); the numbers at last from
// the prompt's list in square brackets. Throws Error, naming the problem, where one is not found.
CountdownTask countdown_task(const Problem& problem);

// The expression that a response proposes: what is between the last <answer> and </answer>, else in
// its last box, else its last line that is not empty. nullopt: the response is empty.
std::optional<std::string_view> proposed_expression(std::string_view response);

// Empty if the expression is right, else why not: "the value is 35, not 36", "17 is used 2 times".
// "EXPRESSION = VALUE" is read too; the value must then be the target. Each number is used once,
// or at most once where leave_out is true. Arithmetic is exact.
std::string countdown_fault(std::string_view expression, const CountdownTask& task, bool leave_out);

}  // namespace treepo
