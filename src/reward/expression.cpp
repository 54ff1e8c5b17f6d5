#include "reward/expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "reward/trim.h"

namespace treepo {

namespace {

constexpr int kDeepest = 200;
constexpr WideInt kLargest = WideInt{1} << 126;

// Other ways to write the signs; the longest first where one begins another.
constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kSigns = {{
    {"\\times", "*"},
    {"\\cdot", "*"},
    {"\\div", "/"},
    {"\\left", ""},
    {"\\right", ""},
    {"\u00d7", "*"},
    {"\u00b7", "*"},
    {"\u22c5", "*"},
    {"\u00f7", "/"},
    {"\u2212", "-"},
    {"\u2013", "-"},
}};

std::string with_plain_signs(std::string_view text) {
  std::string plain;
  while (!text.empty()) {
    const auto sign =
        std::ranges::find_if(kSigns, [&](const auto& s) { return text.starts_with(s.first); });
    plain += sign == kSigns.end() ? text.substr(0, 1) : sign->second;
    text.remove_prefix(sign == kSigns.end() ? 1 : sign->first.size());
  }
  return plain;
}

WideInt greatest_common_divisor(WideInt a, WideInt b) {
  while (b != 0) a = std::exchange(b, a % b);
  return a < 0 ? -a : a;
}

// What ends the evaluation; only inside this file.
struct Failure {
  std::string what;
};

WideInt checked(bool overflow, WideInt value) {
  if (overflow || value > kLargest || value < -kLargest) throw Failure{"a value that is too large"};
  return value;
}
WideInt times(WideInt a, WideInt b) {
  WideInt result = 0;
  const bool overflow = __builtin_mul_overflow(a, b, &result);
  return checked(overflow, result);
}
WideInt plus(WideInt a, WideInt b) {
  WideInt result = 0;
  const bool overflow = __builtin_add_overflow(a, b, &result);
  return checked(overflow, result);
}

Rational reduced(WideInt numerator, WideInt denominator) {
  if (denominator == 0) throw Failure{"a division by zero"};
  const WideInt divisor = greatest_common_divisor(numerator, denominator);
  const WideInt sign = denominator < 0 ? -1 : 1;
  return {sign * (numerator / divisor), sign * (denominator / divisor)};
}

Rational apply(char sign, const Rational& a, const Rational& b) {
  switch (sign) {
    case '*':
      return reduced(times(a.numerator, b.numerator), times(a.denominator, b.denominator));
    case '/':
      return reduced(times(a.numerator, b.denominator), times(a.denominator, b.numerator));
    default: {
      const WideInt other = times(b.numerator, a.denominator);
      return reduced(plus(times(a.numerator, b.denominator), sign == '+' ? other : -other),
                     times(a.denominator, b.denominator));
    }
  }
}

class Parser {
 public:
  Parser(std::string_view text, std::vector<int64_t>& numbers) : text_(text), numbers_(numbers) {}

  Rational whole() {
    const Rational value = sum(0);
    if (next() != '\0' || at_ < text_.size()) throw unexpected();
    return value;
  }

 private:
  Rational sum(int depth) {
    Rational value = product(depth);
    while (next() == '+' || next() == '-') {
      const char sign = text_[at_++];
      value = apply(sign, value, product(depth));
    }
    return value;
  }

  Rational product(int depth) {
    Rational value = factor(depth);
    while (next() == '*' || next() == '/') {
      const char sign = text_[at_++];
      value = apply(sign, value, factor(depth));
    }
    return value;
  }

  Rational factor(int depth) {
    if (depth > kDeepest) throw Failure{"brackets nested too deeply"};
    if (next() == '-') {
      ++at_;
      const Rational value = factor(depth + 1);
      return {-value.numerator, value.denominator};
    }
    if (next() != '(') return number();
    ++at_;
    const Rational value = sum(depth + 1);
    if (next() != ')') throw Failure{"a bracket that is not closed"};
    ++at_;
    return value;
  }

  Rational number() {
    int64_t value = 0;
    next();
    const char* const begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error == std::errc::result_out_of_range) throw Failure{"a number that is too large"};
    if (error != std::errc()) throw unexpected();
    at_ += static_cast<size_t>(end - begin);
    numbers_.push_back(value);
    return {value, 1};
  }

  char next() {  // the next sign; '\0' at the end
    while (at_ < text_.size() && trim(text_.substr(at_, 1)).empty()) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  Failure unexpected() const {
    if (at_ >= text_.size()) return {"no more where a number was due"};
    return {fmt::format("\"{}\" where it cannot be", text_.substr(at_, 8))};
  }

  std::string_view text_;
  std::vector<int64_t>& numbers_;
  size_t at_ = 0;
};

std::string wide_text(WideInt value) {
  const bool negative = value < 0;
  if (negative) value = -value;
  std::string reversed;
  do {
    reversed += static_cast<char>('0' + static_cast<int>(value % 10));
    value /= 10;
  } while (value > 0);
  if (negative) reversed += '-';
  return {reversed.rbegin(), reversed.rend()};
}

}  // namespace

std::string rational_text(const Rational& value) {
  const std::string top = wide_text(value.numerator);
  return value.denominator == 1 ? top : top + "/" + wide_text(value.denominator);
}

Expression evaluate_expression(std::string_view text) {
  Expression expression;
  const std::string plain = with_plain_signs(text);
  try {
    expression.value = Parser(plain, expression.numbers).whole();
  } catch (const Failure& failure) {
    expression.error = failure.what;
  }
  return expression;
}

}  // namespace treepo
