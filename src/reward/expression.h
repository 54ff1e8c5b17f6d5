#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace treepo {

__extension__ typedef __int128 WideInt;

// A fraction in lowest terms, denominator above 0.
struct Rational {
  WideInt numerator = 0, denominator = 1;

  bool operator==(const Rational&) const = default;
};

// "7", "-7/2"
std::string rational_text(const Rational& value);

struct Expression {
  std::optional<Rational> value;  // nullopt: see error
  std::vector<int64_t> numbers;   // those written in it, from left to right
  std::string error;              // what is wrong, and where: "a division by zero"
};

// Reads and evaluates arithmetic, exactly:
//
//   sum     = product { ("+" | "-") product }
//   product = factor { ("*" | "/") factor }
//   factor  = "-" factor | digits | "(" sum ")"
//
// Spaces may stand anywhere between. × · ÷ − and \times \cdot \div \left \right are read as the
// signs that they print. Decimals, powers and products without a sign are no expressions. Values
// beyond 2^126 and more than 200 brackets in one another are errors.
Expression evaluate_expression(std::string_view text);

}  // namespace treepo
