#include "reward/multiple_choice.h"

#include "base/error.h"
#include "reward/boxed.h"
#include "reward/pattern.h"
#include "reward/rules.h"
#include "reward/trim.h"

namespace treepo {

namespace {

std::optional<char> letter_of(std::optional<std::string_view> text, char last) {
  if (!text || text->empty()) return std::nullopt;
  const char letter =
      text->front() >= 'a' ? static_cast<char>(text->front() - 'a' + 'A') : text->front();
  return letter >= 'A' && letter <= last ? std::optional(letter) : std::nullopt;
}

// A letter at the start of a text that may stand in brackets, stars or \text{…}, and is no part of
// a word.
const ResponsePattern& leading_letter() {
  static const ResponsePattern pattern(
      R"(^\s*(?:\\(?:text|mathrm|mathbf|textbf)\s*\{|[\s(\[*{$"'])*([A-Za-z])(?![A-Za-z0-9]))",
      "multiple_choice");
  return pattern;
}

const ResponsePattern& said_letter() {
  static const ResponsePattern pattern(
      R"((?i:answer)(?i:\s+is)?\s*:?\s*(?:\\boxed\{|\\text\s*\{|(?i:option|choice)\s|[\s(\[*$"'])*([A-Z])(?![A-Za-z0-9']))",
      "multiple_choice");
  return pattern;
}

const ResponsePattern& bracketed_letter() {
  static const ResponsePattern pattern(R"((?:[(\[]|\*\*)([A-Z])(?:[)\]]|\*\*))", "multiple_choice");
  return pattern;
}

const ResponsePattern& final_letter() {
  static const ResponsePattern pattern(R"((?:^|[\s(\[*$])([A-Z])[\s)\]*$.]*$)", "multiple_choice");
  return pattern;
}

}  // namespace

std::optional<char> answer_letter(std::string_view answer, char last) {
  return letter_of(leading_letter().last_group(answer), last);
}

std::optional<char> chosen_letter(std::string_view response, char last) {
  if (const auto boxed = last_boxed(response))
    if (const auto letter = answer_letter(*boxed, last)) return letter;
  if (const auto letter = letter_of(said_letter().last_group(response), last)) return letter;
  if (trim(response).find_first_of(" \n") == std::string_view::npos)
    if (const auto letter = answer_letter(response, last)) return letter;
  if (const auto letter = letter_of(bracketed_letter().last_group(response), last)) return letter;
  return letter_of(final_letter().last_group(response), last);
}

NativeRule multiple_choice_rule(const std::string& argument) {
  if (!argument.empty() && (argument.size() != 1 || argument[0] < 'B' || argument[0] > 'Z'))
    throw Error(fmt::format("multiple_choice:{}: no letter from B to Z", argument),
                "the argument is the last letter there is, for example multiple_choice:E");
  const char last = argument.empty() ? 'D' : argument[0];
  const auto judge = [last](const Response& response) -> Verdict {
    const auto said = chosen_letter(response.text, last);
    if (!said) return {.reason = "no letter"};
    const bool right = said == answer_letter(*response.problem->answer, last);
    return {.score = right ? 1.0 : 0.0,
            .correct = right,
            .answer = std::string(1, *said),
            .reason = right ? "right" : "wrong letter"};
  };
  const auto check = [last](const Problem& problem) {
    if (problem.answer && answer_letter(*problem.answer, last)) return;
    throw Error(fmt::format("{}{}problem \"{}\" has the answer \"{}\", which is no letter A to {}",
                            problem.where, problem.where.empty() ? "" : ": ", problem.id,
                            problem.answer.value_or(""), last),
                "multiple_choice:E allows letters up to E, and so on");
  };
  return {judge, check};
}

}  // namespace treepo
