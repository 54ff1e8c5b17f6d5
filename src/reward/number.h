#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace treepo {

// Numbers as people and models write them:
//
//   number    = [sign] ["$"] magnitude ["/" magnitude]
//   magnitude = digits [groups] ["." digits] [("e" | "E") ["+" | "-"] digits]  |  "." digits …
//   groups    = "," and three digits, repeated, after one to three digits:  1,234,567
//   sign      = "+" | "-" | "−" (U+2212)
//
// A sign right after a letter, digit or closing bracket is an operator: the last number of "5-3" is
// 3. "1,2345" holds 1 and 2345. A percent sign is a unit, like a currency: "50%" is 50. A fraction
// is its value; one with denominator 0 and a number beyond the range of double are no numbers.

// The last number in the text, nullopt where there is none.
std::optional<double> last_number(std::string_view text);

// The value of a text that is one number and nothing else but white space around it and a percent
// sign (or "\%") after it.
std::optional<double> parse_number(std::string_view text);

// Integers up to 2^53 must be equal; anything else within 1e-9 of the larger magnitude.
bool same_number(double a, double b);

// Equal numbers give equal text, up to the twelfth significant digit: "0.5" for 1/2, "1200" for
// 1,200.0.
std::string number_key(double value);

}  // namespace treepo
