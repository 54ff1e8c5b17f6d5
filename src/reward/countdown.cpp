#include "reward/countdown.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/json.h"
#include "reward/boxed.h"
#include "reward/expression.h"
#include "reward/rules.h"
#include "reward/trim.h"

namespace treepo {

namespace {

std::string name_of(const Problem& problem) {
  return (problem.where.empty() ? "" : problem.where + ": ") + "problem \"" + problem.id + "\"";
}

std::optional<int64_t> parse_integer(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "[79, 17, 60]", the first list of integers in square brackets; empty: there is none.
std::vector<int64_t> bracketed_numbers(std::string_view text) {
  for (size_t open = text.find('['); open != std::string_view::npos;
       open = text.find('[', open + 1)) {
    const size_t close = text.find(']', open);
    if (close == std::string_view::npos) break;
    std::vector<int64_t> numbers;
    std::string_view rest = text.substr(open + 1, close - open - 1);
    while (true) {
      const size_t comma = rest.find(',');
      const std::optional<int64_t> number = parse_integer(trim(rest.substr(0, comma)));
      if (!number) break;
      numbers.push_back(*number);
      if (comma == std::string_view::npos) return numbers;
      rest.remove_prefix(comma + 1);
    }
  }
  return {};
}

struct PartialTask {
  std::vector<int64_t> numbers;
  std::optional<int64_t> target;

  void add_fields(const Json& object, const std::string& where) {
    if (!object.is_object()) return;
    for (const char* key : {"numbers", "nums"})
      if (numbers.empty() && has_key(object, key)) numbers = get_ints(object, key, where);
    if (!target && has_key(object, "target")) target = get_int(object, "target", where);
  }
};

void add_answer(PartialTask& task, const std::string& answer, const std::string& where) {
  if (trim(answer).starts_with('{')) return task.add_fields(parse_json(answer, where), where);
  const Expression expression = evaluate_expression(answer);
  if (!task.target && expression.value && expression.value->denominator == 1)
    task.target = static_cast<int64_t>(expression.value->numerator);
}

// The part of an equation that is the expression, and what it is said to equal.
struct Equation {
  std::string_view expression;
  std::optional<std::string_view> value;
};

Equation split_equation(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) return {text, std::nullopt};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::string numbers_fault(std::vector<int64_t> used, std::vector<int64_t> given, bool leave_out) {
  for (const int64_t number : used) {
    const auto at = std::ranges::find(given, number);
    if (at == given.end()) return fmt::format("{} is not given, or not so often", number);
    given.erase(at);
  }
  return given.empty() || leave_out ? "" : fmt::format("{} is not used", given.front());
}

}  // namespace

CountdownTask countdown_task(const Problem& problem) {
  PartialTask task;
  const std::string where = name_of(problem);
  if (!problem.row.empty()) task.add_fields(parse_json(problem.row, where), where);
  if (problem.answer) add_answer(task, *problem.answer, where);
  if (task.numbers.empty()) task.numbers = bracketed_numbers(problem.prompt);
  if (task.numbers.empty() || !task.target)
    throw Error(fmt::format("{} has no {} for the countdown verifier", where,
                            task.numbers.empty() ? "numbers" : "target"),
                "give each row \"numbers\": [79, 17, 60] and \"target\": 36");
  return {task.numbers, *task.target};
}

std::optional<std::string_view> proposed_expression(std::string_view response) {
  constexpr std::string_view kOpen = "<answer>", kClose = "</answer>";
  const size_t close = response.rfind(kClose);
  const size_t open = close == std::string_view::npos ? close : response.rfind(kOpen, close);
  if (open != std::string_view::npos)
    return trim(response.substr(open + kOpen.size(), close - open - kOpen.size()));
  if (const auto boxed = last_boxed(response)) return trim(*boxed);
  response = trim(response);
  if (response.empty()) return std::nullopt;
  const size_t line = response.rfind('\n');
  return trim(line == std::string_view::npos ? response : response.substr(line + 1));
}

std::string countdown_fault(std::string_view text, const CountdownTask& task, bool leave_out) {
  const Equation equation = split_equation(text);
  const Expression expression = evaluate_expression(equation.expression);
  if (!expression.value) return "no expression: " + expression.error;
  const std::string fault = numbers_fault(expression.numbers, task.numbers, leave_out);
  if (!fault.empty()) return fault;
  const Rational target{task.target, 1};
  if (*expression.value != target)
    return fmt::format("the value is {}, not {}", rational_text(*expression.value), task.target);
  if (equation.value && evaluate_expression(*equation.value).value != target)
    return fmt::format("it says that the value is {}", trim(*equation.value));
  return "";
}

NativeRule countdown_rule(const std::string& argument) {
  if (!argument.empty() && argument != "subset")
    throw Error(fmt::format("countdown:{}: unknown argument", argument),
                "countdown uses each number once, countdown:subset each at most once");
  const bool leave_out = argument == "subset";
  const auto judge = [leave_out](const Response& response) -> Verdict {
    const auto said = proposed_expression(response.text);
    if (!said) return {.reason = "empty response"};
    const std::string fault = countdown_fault(*said, countdown_task(*response.problem), leave_out);
    std::string answer(*said);
    std::erase_if(answer, [](char c) { return trim(std::string_view(&c, 1)).empty(); });
    if (fault.empty())
      return {.score = 1, .correct = true, .answer = std::move(answer), .reason = "right"};
    return {.answer = std::move(answer), .reason = fault};
  };
  return {judge, [](const Problem& problem) { countdown_task(problem); }};
}

}  // namespace treepo
