#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace treepo {

// A number so plain that math-verify's verdict on it is known: an integer of at most 9 digits, a
// decimal of at most 9 + 6, or a fraction of two integers of at most 6, written 3/4, \frac{3}{4},
// \dfrac{3}{4} or \tfrac{3}{4}; a minus sign may precede. No leading zeros, no thousands marks.
struct PlainNumber {
  int64_t numerator = 0, denominator = 1;  // lowest terms
  enum class Form { integer, decimal, fraction } form = Form::integer;
};

std::optional<PlainNumber> parse_plain_number(std::string_view text);

// "7", "-3/4": what handler_math.py's answer_text gives for the same number.
std::string plain_text(const PlainNumber& number);

// Whether math-verify finds them equal; nullopt where it compares by rounding (a fraction with a
// decimal).
std::optional<bool> plain_equal(const PlainNumber& gold, const PlainNumber& said);

// The answer in a response from which math-verify can extract nothing else: the whole response is a
// plain integer or decimal, or it holds one box, at its end, with a plain number. nullopt: any
// other response.
//
// Why the last box: math-verify tries patterns in order of priority, those of one priority by where
// they end. "final answer is … I hope" (0) comes before boxes and "final answer … is" (50), which
// come before all others. So with one box, at the end but for signs that close mathematics and a
// full stop, and with neither "I hope" nor "final answer" before it (or nothing after the latter
// that could be an answer), every pattern that ends last contains the box, and of a text that
// contains a box math-verify reads what is inside.
std::optional<PlainNumber> plain_answer(std::string_view response);

}  // namespace treepo
