#include "reward/number.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "reward/trim.h"

namespace treepo {

namespace {

constexpr std::string_view kMinusSign = "\u2212";
constexpr double kRelativeTolerance = 1e-9;
constexpr double kLargestExactInteger = 0x1p53;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

size_t count_digits(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size() && is_digit(text[end])) ++end;
  return end - at;
}

// Length of ",ddd" repeated from `at` on; a group that a fourth digit follows is none.
size_t groups_length(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size() && text[end] == ',' &&
         count_digits(text.substr(0, end + 5), end + 1) == 3)
    end += 4;
  return end - at;
}

size_t exponent_length(std::string_view text, size_t at) {
  if (at >= text.size() || (text[at] != 'e' && text[at] != 'E')) return 0;
  const size_t sign = at + 1 < text.size() && (text[at + 1] == '+' || text[at + 1] == '-') ? 1 : 0;
  const size_t digits = count_digits(text, at + 1 + sign);
  return digits == 0 ? 0 : 1 + sign + digits;
}

struct Number {
  size_t end = 0;               // one past its last character
  std::optional<double> value;  // nullopt: out of range, or a fraction with denominator 0
};

std::optional<Number> parse_magnitude(std::string_view text, size_t at) {
  size_t end = at + count_digits(text, at);
  if (end > at && end - at <= 3) end += groups_length(text, end);
  const bool continues_digits = end == at && at > 0 && is_digit(text[at - 1]);  // ".3" of "1.2.3"
  if (end < text.size() && text[end] == '.' && !continues_digits) {
    const size_t decimals = count_digits(text, end + 1);
    if (decimals > 0) end += 1 + decimals;
  }
  if (end == at) return std::nullopt;
  end += exponent_length(text, end);
  std::string plain(text.substr(at, end - at));
  std::erase(plain, ',');
  double value = 0;
  const auto [stop, error] = std::from_chars(plain.data(), plain.data() + plain.size(), value);
  if (error != std::errc()) return Number{end, std::nullopt};
  return Number{end, value};
}

// Length of a sign at `at`, 0 where there is none or it is an operator.
size_t sign_length(std::string_view text, size_t at, bool& negative) {
  negative = false;
  size_t length = 0;
  if (text[at] == '+' || text[at] == '-') length = 1;
  if (text.substr(at).starts_with(kMinusSign)) length = kMinusSign.size();
  if (length == 0) return 0;
  if (at > 0) {
    const char before = text[at - 1];
    if (is_digit(before) || is_letter(before) || before == ')' || before == ']' || before == '}')
      return 0;
  }
  negative = text[at] != '+';
  return length;
}

std::optional<Number> parse_at(std::string_view text, size_t at) {
  bool negative = false;
  size_t begin = at + sign_length(text, at, negative);
  if (begin < text.size() && text[begin] == '$') ++begin;
  auto top = parse_magnitude(text, begin);
  if (!top) return std::nullopt;
  Number number{top->end, top->value};
  if (top->end < text.size() && text[top->end] == '/') {
    if (const auto bottom = parse_magnitude(text, top->end + 1)) {
      number = {bottom->end, std::nullopt};
      if (top->value && bottom->value) number.value = *top->value / *bottom->value;
    }
  }
  if (number.value && !std::isfinite(*number.value)) number.value.reset();
  if (number.value && negative) number.value = -*number.value;
  return number;
}

bool is_integer(double value) {
  return std::abs(value) <= kLargestExactInteger && value == std::floor(value);
}

}  // namespace

std::optional<double> last_number(std::string_view text) {
  std::optional<double> last;
  for (size_t at = 0; at < text.size();) {
    if (const auto number = parse_at(text, at)) {
      if (number->value) last = number->value;
      at = number->end;
    } else {
      ++at;
    }
  }
  return last;
}

std::optional<double> parse_number(std::string_view text) {
  text = trim(text);
  if (text.empty()) return std::nullopt;
  const auto number = parse_at(text, 0);
  if (!number) return std::nullopt;
  const std::string_view rest = text.substr(number->end);
  if (!rest.empty() && rest != "%" && rest != "\\%") return std::nullopt;
  return number->value;
}

bool same_number(double a, double b) {
  if (is_integer(a) && is_integer(b)) return a == b;
  return std::abs(a - b) <= kRelativeTolerance * std::max(std::abs(a), std::abs(b));
}

std::string number_key(double value) {
  if (value == 0) return "0";  // and -0
  return is_integer(value) ? fmt::format("{:.0f}", value) : fmt::format("{:.12g}", value);
}

}  // namespace treepo
