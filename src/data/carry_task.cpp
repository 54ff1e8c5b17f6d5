#include "data/carry_task.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "base/error.h"
#include "base/random.h"

namespace treepo {

namespace {

constexpr std::string_view kOperationDraws = "++--*";
constexpr int32_t kLowestOperand = 2, kHighestOperand = 9;
constexpr int32_t kLowestValue = 1, kHighestValue = 99;
constexpr uint32_t kHeldOutShare = 16;  // one of so many
constexpr int64_t kMostHeldOut = 100000;

// What random numbers of one seed and index are for.
enum Visit : uint64_t { training_visit = 0, held_out_visit = 1, demonstration_visit = 2 };

struct Draft {
  std::string prompt;
  int32_t value = 0;
};

// One try: a prompt and its value, or false where a running value left its range.
bool draw_prompt(const RandomStream& random, uint32_t attempt, Draft& draft) {
  const auto operand = [&](uint32_t position) {
    return static_cast<int32_t>(random.integer(kLowestOperand, kHighestOperand, attempt, position));
  };
  draft.value = operand(0);
  draft.prompt = std::to_string(draft.value);
  for (uint32_t step = 1; step <= kCarryOperations; ++step) {
    const auto draw = random.integer(0, std::ssize(kOperationDraws) - 1, attempt, step, 1);
    const char operation = kOperationDraws[static_cast<size_t>(draw)];
    const int32_t right = operand(step);
    draft.value = carry_step_result(draft.value, operation, right, false);
    if (draft.value < kLowestValue || draft.value > kHighestValue) return false;
    draft.prompt += operation;
    draft.prompt += std::to_string(right);
  }
  draft.prompt += ':';
  return true;
}

// About one try in six is within the range, and one or fifteen of sixteen prompts on the wanted
// side.
Problem draw_problem(const RandomStream& random, bool held_out, std::string id) {
  Draft draft;
  for (uint32_t attempt = 0;; ++attempt) {
    if (draw_prompt(random, attempt, draft) && is_held_out(draft.prompt) == held_out) break;
  }
  Problem problem;
  problem.id = std::move(id);
  problem.prompt = std::move(draft.prompt);
  problem.answer = std::to_string(draft.value);
  return problem;
}

bool is_well_formed(std::string_view prompt) {
  if (prompt.size() != 2 * kCarryOperations + 2 || prompt.back() != ':') return false;
  for (size_t i = 0; i + 1 < prompt.size(); ++i) {
    const std::string_view allowed = i % 2 == 0 ? "23456789" : "+-*";
    if (allowed.find(prompt[i]) == std::string_view::npos) return false;
  }
  return true;
}

std::string to_text(const std::vector<CarryStep>& steps) {
  std::string text;
  for (const CarryStep& step : steps) {
    if (!text.empty()) text += ';';
    text += fmt::format("{}{}{}={}", step.left, step.operation, step.right, step.result);
  }
  return text + '!';
}

}  // namespace

CarryStepKind carry_step_kind(int32_t left, char operation, int32_t right) {
  const bool two_digits = left >= 10 && left <= 99;
  const int32_t units = left % 10;
  switch (operation) {
    case '+':
      return two_digits && units + right >= 10 ? CarryStepKind::plus_with_carry
                                               : CarryStepKind::plus;
    case '-':
      return two_digits && units < right ? CarryStepKind::minus_with_borrow : CarryStepKind::minus;
    default:
      TREEPO_CHECK(operation == '*', "operation {}", operation);
      return CarryStepKind::times;
  }
}

int32_t carry_step_result(int32_t left, char operation, int32_t right, bool forgotten) {
  switch (carry_step_kind(left, operation, right)) {
    case CarryStepKind::plus:
      return left + right;
    case CarryStepKind::plus_with_carry:
      return left + right - (forgotten ? 10 : 0);
    case CarryStepKind::minus:
      return left - right;
    case CarryStepKind::minus_with_borrow:
      return left - right + (forgotten ? 10 : 0);
    case CarryStepKind::times:
      break;
  }
  return left * right;
}

bool is_held_out(std::string_view prompt) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a; Philox then mixes its weak low bits
  for (const char c : prompt) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  const auto low = static_cast<uint32_t>(hash), high = static_cast<uint32_t>(hash >> 32);
  return philox4x32({low, high, 0, 0}, {0, 0})[0] % kHeldOutShare == 0;
}

Problem CarryTask::training_problem(int64_t index) const {
  const RandomStream random(seed_, Purpose::generate, static_cast<uint64_t>(index), training_visit);
  return draw_problem(random, false, fmt::format("carry-{}", index));
}

std::vector<Problem> CarryTask::held_out_problems(int64_t count) const {
  if (count < 1 || count > kMostHeldOut) {
    throw Error(fmt::format("{} held-out problems were asked for", count),
                fmt::format("data.held_out goes from 1 to {}", kMostHeldOut));
  }
  std::vector<Problem> problems;
  std::unordered_set<std::string> seen;
  for (uint64_t index = 0; std::ssize(problems) < count; ++index) {
    const RandomStream random(seed_, Purpose::generate, index, held_out_visit);
    Problem problem = draw_problem(random, true, fmt::format("held-out-{}", problems.size()));
    if (seen.insert(problem.prompt).second) problems.push_back(std::move(problem));
  }
  return problems;
}

std::vector<CarryStep> CarryTask::demonstration_steps(const Problem& problem, int64_t index,
                                                      double bug) const {
  const std::string& prompt = problem.prompt;
  TREEPO_CHECK(is_well_formed(prompt), "\"{}\" is no problem of the carry task", prompt);
  const RandomStream random(seed_, Purpose::generate, static_cast<uint64_t>(index),
                            demonstration_visit);
  std::vector<CarryStep> steps;
  int32_t value = prompt[0] - '0';
  for (uint32_t i = 0; i < kCarryOperations; ++i) {
    const char operation = prompt[2 * i + 1];
    const int32_t right = prompt[2 * i + 2] - '0';
    const CarryStepKind kind = carry_step_kind(value, operation, right);
    const bool due =
        kind == CarryStepKind::plus_with_carry || kind == CarryStepKind::minus_with_borrow;
    const bool forgotten = due && random.uniform(0, i) < bug;
    const int32_t result = carry_step_result(value, operation, right, forgotten);
    steps.push_back({value, operation, right, result, kind, forgotten});
    value = result;
  }
  return steps;
}

std::string CarryTask::demonstration(const Problem& problem, int64_t index, double bug) const {
  return to_text(demonstration_steps(problem, index, bug));
}

CarryStatistics carry_statistics(const CarryTask& task, int64_t first, int64_t count, double bug) {
  CarryStatistics total;
  for (int64_t index = first; index < first + count; ++index) {
    const Problem problem = task.training_problem(index);
    const auto steps = task.demonstration_steps(problem, index, bug);
    bool left_range = false;
    for (const CarryStep& step : steps) {
      ++total.steps[static_cast<int>(step.kind)];
      total.forgotten += step.forgotten;
      left_range |= step.result < kLowestValue || step.result > kHighestValue;
    }
    const auto characters = std::ssize(to_text(steps));
    ++total.demonstrations;
    total.ended_right += std::to_string(steps.back().result) == problem.answer;
    total.left_range += left_range;
    total.characters += characters;
    total.longest = std::max<int64_t>(total.longest, characters);
  }
  return total;
}

}  // namespace treepo
