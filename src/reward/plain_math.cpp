#include "reward/plain_math.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <numeric>
#include <utility>

#include "reward/trim.h"

namespace treepo {

namespace {

using Form = PlainNumber::Form;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// An integer of 1 to `most` digits without leading zeros, taken off the text.
std::optional<int64_t> take_integer(std::string_view& text, size_t most) {
  size_t length = 0;
  int64_t value = 0;
  while (length < text.size() && length <= most && is_digit(text[length]))
    value = 10 * value + (text[length++] - '0');
  if (length == 0 || length > most || (text[0] == '0' && length > 1)) return std::nullopt;
  text.remove_prefix(length);
  return value;
}

PlainNumber in_lowest_terms(int64_t numerator, int64_t denominator, Form form) {
  const int64_t divisor = std::max<int64_t>(std::gcd(numerator, denominator), 1);
  return {numerator / divisor, denominator / divisor, form};
}

// What follows "." in a decimal, as number of 10^-digits.
std::optional<PlainNumber> with_decimals(int64_t whole, std::string_view decimals) {
  constexpr size_t kMostDecimals = 6;
  if (decimals.empty() || decimals.size() > kMostDecimals) return std::nullopt;
  int64_t numerator = whole, denominator = 1;
  for (const char c : decimals) {
    if (!is_digit(c)) return std::nullopt;
    numerator = 10 * numerator + (c - '0');
    denominator *= 10;
  }
  return in_lowest_terms(numerator, denominator, Form::decimal);
}

constexpr size_t kFractionDigits = 6;

std::optional<PlainNumber> make_fraction(std::optional<int64_t> top, std::optional<int64_t> bottom,
                                         std::string_view rest) {
  if (!top || !bottom || *top == 0 || *bottom == 0 || !rest.empty()) return std::nullopt;
  return in_lowest_terms(*top, *bottom, Form::fraction);
}

std::optional<PlainNumber> parse_frac_command(std::string_view text) {
  for (const std::string_view command : {"\\frac{", "\\dfrac{", "\\tfrac{"}) {
    if (!text.starts_with(command)) continue;
    text.remove_prefix(command.size());
    const auto top = take_integer(text, kFractionDigits);
    if (!text.starts_with("}{")) return std::nullopt;
    text.remove_prefix(2);
    const auto bottom = take_integer(text, kFractionDigits);
    if (!text.ends_with('}')) return std::nullopt;
    text.remove_suffix(1);
    return make_fraction(top, bottom, text);
  }
  return std::nullopt;
}

std::optional<PlainNumber> parse_magnitude(std::string_view text) {
  constexpr size_t kMostDigits = 9;
  if (text.starts_with('\\')) return parse_frac_command(text);
  std::string_view rest = text;
  const auto whole = take_integer(rest, kMostDigits);
  if (!whole) return std::nullopt;
  if (rest.empty()) return PlainNumber{*whole, 1, Form::integer};
  if (rest[0] == '.') return with_decimals(*whole, rest.substr(1));
  if (rest[0] != '/' || text.size() - rest.size() > kFractionDigits) return std::nullopt;
  rest.remove_prefix(1);
  const auto bottom = take_integer(rest, kFractionDigits);
  return make_fraction(whole, bottom, rest);
}

bool contains_ignoring_case(std::string_view text, std::string_view lower, size_t& at) {
  const auto found =
      std::search(text.begin(), text.end(), lower.begin(), lower.end(),
                  [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; });
  at = static_cast<size_t>(found - text.begin());
  return found != text.end();
}

// Takes "\n\]" or "$" off, whatever closes the mathematics around a box; returns what opens it.
std::string_view take_closing(std::string_view& after) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kPairs = {
      {{"$$", "$$"}, {"$", "$"}, {"\\(", "\\)"}, {"\\[", "\\]"}}};
  const std::string_view trimmed = trim(after);
  for (const auto& [open, close] : kPairs) {
    if (!trimmed.starts_with(close)) continue;
    after = trimmed.substr(close.size());
    return open;
  }
  return "";
}

bool is_harmless_end(std::string_view after) {
  if (after.starts_with('.')) after.remove_prefix(1);
  after = trim(after);
  return after.empty() || after == "I hope it is correct." || after == "I hope it is correct";
}

bool is_harmless_start(std::string_view before) {
  size_t at = 0;
  if (before.find("I hope") != std::string_view::npos) return false;
  if (!contains_ignoring_case(before, "final answer", at)) return true;
  return before.substr(at).find_first_of("$\\[") == std::string_view::npos;
}

}  // namespace

std::optional<PlainNumber> parse_plain_number(std::string_view text) {
  text = trim(text);
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  std::optional<PlainNumber> number = parse_magnitude(text);
  if (number && negative && number->numerator == 0) return std::nullopt;  // -0
  if (number && negative) number->numerator = -number->numerator;
  return number;
}

std::string plain_text(const PlainNumber& number) {
  return number.denominator == 1 ? fmt::format("{}", number.numerator)
                                 : fmt::format("{}/{}", number.numerator, number.denominator);
}

std::optional<bool> plain_equal(const PlainNumber& gold, const PlainNumber& said) {
  const bool rounds = (gold.form == Form::decimal && said.form == Form::fraction) ||
                      (gold.form == Form::fraction && said.form == Form::decimal);
  if (rounds) return std::nullopt;
  return gold.numerator == said.numerator && gold.denominator == said.denominator;
}

std::optional<PlainNumber> plain_answer(std::string_view response) {
  constexpr std::string_view kBox = "\\boxed{";
  const size_t at = response.find("\\boxed");
  if (at == std::string_view::npos) {
    const auto number = parse_plain_number(response);
    return number && number->form != Form::fraction ? number : std::nullopt;
  }
  if (!response.substr(at).starts_with(kBox) ||
      response.find("\\boxed", at + 1) != std::string_view::npos ||
      response.find("\\fbox") != std::string_view::npos)
    return std::nullopt;
  const size_t end = response.rfind('}');
  if (end == std::string_view::npos || end < at + kBox.size()) return std::nullopt;
  std::string_view after = response.substr(end + 1);
  const std::string_view open = take_closing(after);
  const std::string_view before = response.substr(0, at);
  std::string_view start =
      open.empty() ? before : before.substr(0, before.find_last_not_of(" \t\r\n") + 1);
  if (start.ends_with(open)) start.remove_suffix(open.size());
  if (!is_harmless_start(start) || !is_harmless_end(after)) return std::nullopt;
  return parse_plain_number(response.substr(at + kBox.size(), end - at - kBox.size()));
}

}  // namespace treepo
