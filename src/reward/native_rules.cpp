// The rules whose judges are in reward/native.h, from their arguments.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "reward/native.h"
#include "reward/number.h"
#include "reward/rules.h"

namespace treepo {

namespace {

void refuse_argument(std::string_view name, const std::string& argument) {
  if (!argument.empty())
    throw Error(fmt::format("{}:{}: {} takes no argument", name, argument, name),
                fmt::format("write {}", name));
}

// By how much a number may differ from the answer.
struct Tolerance {
  double relative = 0, absolute = 0;

  bool allows(double said, double expected) const {
    return same_number(said, expected) ||
           std::abs(said - expected) <= std::max(absolute, relative * std::abs(expected));
  }
};

Tolerance parse_tolerance(const std::string& argument) {
  Tolerance tolerance;
  if (argument.empty()) return tolerance;
  const std::string_view text = argument;
  double value = 0;
  const char* const begin = text.data() + std::min<size_t>(4, text.size());
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
  const bool is_number = error == std::errc() && end == text.data() + text.size() &&
                         std::isfinite(value) && value >= 0;
  if (is_number && text.starts_with("rel="))
    tolerance.relative = value;
  else if (is_number && text.starts_with("abs="))
    tolerance.absolute = value;
  else
    throw Error(fmt::format("numeric:{}: no tolerance", argument),
                "for example numeric:rel=0.01 or numeric:abs=0.5");
  return tolerance;
}

}  // namespace

NativeRule carry_rule(const std::string& argument) {
  refuse_argument("carry", argument);
  return {verify_carry, require_integer_answer};
}

NativeRule digits_rule(const std::string& argument) {
  refuse_argument("digits", argument);
  return {verify_digits, require_answer};
}

NativeRule exact_rule(const std::string& argument) {
  refuse_argument("exact", argument);
  return {verify_exact, require_answer};
}

NativeRule numeric_rule(const std::string& argument) {
  const Tolerance tolerance = parse_tolerance(argument);
  const auto judge = [tolerance](const Response& response) {
    Verdict verdict = verify_numeric(response);
    if (verdict.correct || !verdict.answer) return verdict;
    const double said = *last_number(response.text);
    if (tolerance.allows(said, *parse_number(*response.problem->answer)))
      verdict = {.score = 1, .correct = true, .answer = verdict.answer, .reason = "near enough"};
    return verdict;
  };
  return {judge, require_numeric_answer};
}

}  // namespace treepo
