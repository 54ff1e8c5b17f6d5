#include "reward/native.h"

#include <algorithm>

#include "base/error.h"
#include "reward/number.h"
#include "reward/trim.h"

namespace treepo {

namespace {

Verdict right(std::string answer) {
  return {.score = 1.0, .correct = true, .answer = std::move(answer), .reason = "right"};
}

Verdict wrong(std::string reason, std::optional<std::string> answer = std::nullopt) {
  return {.score = 0.0, .correct = false, .answer = std::move(answer), .reason = std::move(reason)};
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// The integer that ends the text, with a minus sign that no digit precedes; "" where there is none.
std::string_view trailing_integer(std::string_view text) {
  size_t begin = text.size();
  while (begin > 0 && is_digit(text[begin - 1])) --begin;
  if (begin == text.size()) return {};
  const bool minus = begin > 0 && text[begin - 1] == '-';
  if (minus && (begin == 1 || !is_digit(text[begin - 2]))) --begin;
  return text.substr(begin);
}

// The UTF-8 character at `at`; stray bytes count as characters of their own.
std::string_view character_at(std::string_view text, size_t at) {
  size_t end = at + 1;
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
  return text.substr(at, end - at);
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> result;
  for (size_t at = 0; at < text.size(); at += result.back().size())
    result.push_back(character_at(text, at));
  return result;
}

[[noreturn]] void throw_bad_answer(const Problem& problem, const std::string& what,
                                   const std::string& hint) {
  const std::string place = problem.where.empty() ? "" : problem.where + ": ";
  throw Error(fmt::format("{}problem \"{}\" {}", place, problem.id, what), hint);
}

}  // namespace

Verdict verify_carry(const Response& response) {
  if (!response.ended_with_eos) return wrong("no EOS");
  std::string_view text = response.text;
  if (!text.ends_with('!')) return wrong("no ! at the end");
  text.remove_suffix(1);
  const std::string value(trailing_integer(text));
  if (value.empty()) return wrong("no value before !");
  return value == *response.problem->answer ? right(value) : wrong("wrong value", value);
}

Verdict verify_digits(const Response& response) {
  const auto said = characters(response.text);
  const auto expected = characters(*response.problem->answer);
  size_t matches = 0;
  for (size_t i = 0; i < std::min(said.size(), expected.size()); ++i)
    matches += said[i] == expected[i];
  const bool ends_right = response.ended_with_eos && said.size() == expected.size();
  matches += ends_right;
  const size_t positions = expected.size() + 1;
  const bool correct = matches == positions;
  std::optional<std::string> said_answer;  // an unfinished one is none
  if (response.ended_with_eos) said_answer = response.text;
  return {.score = static_cast<double>(matches) / static_cast<double>(positions),
          .correct = correct,
          .answer = said_answer,
          .reason = correct ? "right" : fmt::format("{} of {} positions", matches, positions)};
}

Verdict verify_exact(const Response& response) {
  const std::string said(trim(response.text));
  if (said.empty() && !trim(*response.problem->answer).empty()) return wrong("empty response");
  return said == trim(*response.problem->answer) ? right(said) : wrong("not equal", said);
}

Verdict verify_numeric(const Response& response) {
  const auto said = last_number(response.text);
  if (!said) return wrong("no number");
  const auto expected = parse_number(*response.problem->answer);
  TREEPO_CHECK(expected.has_value(), "answer of {} was not checked", response.problem->id);
  return same_number(*said, *expected) ? right(number_key(*said))
                                       : wrong("wrong value", number_key(*said));
}

void require_answer(const Problem& problem) {
  if (!problem.answer)
    throw_bad_answer(problem, "has no answer to verify against", "give each row an \"answer\"");
}

void require_integer_answer(const Problem& problem) {
  require_answer(problem);
  const std::string& answer = *problem.answer;
  if (answer.empty() || trailing_integer(answer) != answer)
    throw_bad_answer(problem, fmt::format("has the answer \"{}\", which is not an integer", answer),
                     "reward.kind = \"carry\" is for data.kind = \"carry\"; for other data use "
                     "numeric or exact");
}

void require_numeric_answer(const Problem& problem) {
  require_answer(problem);
  if (!parse_number(*problem.answer))
    throw_bad_answer(problem,
                     fmt::format("has the answer \"{}\", which is not a number", *problem.answer),
                     "reward.kind = \"exact\" compares text");
}

}  // namespace treepo
