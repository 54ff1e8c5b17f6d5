#include "reward/number.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <regex>

namespace treepo {
namespace {

struct Case {
  std::string text;
  std::optional<double> number;
};

TEST(LastNumber, ReadsWhatPeopleWrite) {
  const Case cases[] = {
      {"", std::nullopt},
      {"no number", std::nullopt},
      {"42", 42.0},
      {"So 3 and then 4.", 4.0},
      {"= -5", -5.0},
      {"=-5!", -5.0},
      {"+7", 7.0},
      {"\u22127", -7.0},
      {"5-3", 3.0},
      {"x-3", 3.0},
      {"(4)-3", 3.0},
      {"3.25 kg", 3.25},
      {".5", 0.5},
      {"-.5", -0.5},
      {"3.", 3.0},
      {"1.2.3", 3.0},
      {"1,234", 1234.0},
      {"$1,234,567.89", 1234567.89},
      {"-$12", -12.0},
      {"1,2345", 2345.0},
      {"1234,567", 567.0},
      {"1,2,3", 3.0},
      {"1,000,", 1000.0},
      {"3/4", 0.75},
      {"-3/4", -0.75},
      {"1,000/8", 125.0},
      {"1/2/3", 3.0},
      {"7 over 3/0", 7.0},
      {"1e3", 1000.0},
      {"2.5E-3", 0.0025},
      {"3 e", 3.0},
      {"4e+", 4.0},
      {"50%", 50.0},
      {"8 then 1e999", 8.0},
      {"9 then 1e-999", 9.0},
      {"007", 7.0},
      {"a number 6 in \xff\xfe broken bytes", 6.0},
  };
  for (const Case& c : cases) EXPECT_EQ(last_number(c.text), c.number) << c.text;
}

TEST(ParseNumber, TakesOneNumberAndNothingElse) {
  const Case cases[] = {
      {" 72\n", 72.0},
      {"-1/2", -0.5},
      {"12%", 12.0},
      {"12\\%", 12.0},
      {"$18", 18.0},
      {"1,234.5", 1234.5},
      {"27.0", 27.0},
      {"", std::nullopt},
      {" ", std::nullopt},
      {"72 apples", std::nullopt},
      {"x = 72", std::nullopt},
      {"1 2", std::nullopt},
      {"1/0", std::nullopt},
      {"nan", std::nullopt},
      {"inf", std::nullopt},
      {"1e999", std::nullopt},
      {"--1", std::nullopt},
      {"\\frac{1}{2}", std::nullopt},
  };
  for (const Case& c : cases) EXPECT_EQ(parse_number(c.text), c.number) << c.text;
}

TEST(SameNumber, IsExactForIntegersAndTolerantOtherwise) {
  EXPECT_TRUE(same_number(1.0 / 3, 0.33333333333));
  EXPECT_FALSE(same_number(1.0 / 3, 0.333333));
  EXPECT_TRUE(same_number(0.0, -0.0));
  EXPECT_FALSE(same_number(0.0, 1e-300));
  EXPECT_FALSE(same_number(123456789012, 123456789013)) << "within 1e-9, but integers";
  EXPECT_FALSE(same_number(5, -5));
}

TEST(NumberKey, IsEqualForEqualNumbers) {
  EXPECT_EQ(number_key(*parse_number("1/2")), number_key(*parse_number("0.50")));
  EXPECT_EQ(number_key(*parse_number("1,200.0")), "1200");
  EXPECT_EQ(number_key(*parse_number("-0")), "0");
  EXPECT_NE(number_key(123456789012), number_key(123456789013));
}

// The same grammar as a backtracking expression, tried at each place in turn.
std::optional<double> slow_last_number(const std::string& text) {
  static const std::string magnitude =
      R"(((?:\d{1,3}(?:,\d{3}(?!\d))+|\d+)(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?))";
  static const std::regex number(R"(([+-]?)\$?)" + magnitude + "(?:/" + magnitude + ")?");
  static const std::regex operator_before(R"([0-9A-Za-z)\]}])");
  const auto value_of = [](std::string digits) {
    std::erase(digits, ',');
    return std::strtod(digits.c_str(), nullptr);
  };
  std::optional<double> last;
  for (size_t at = 0; at < text.size();) {
    const bool after_operand = at > 0 && std::regex_match(text.substr(at - 1, 1), operator_before);
    const bool is_sign = text[at] == '+' || text[at] == '-';
    const bool dot_after_digit = text[at] == '.' && at > 0 && std::isdigit(text[at - 1]);
    std::smatch match;
    if ((is_sign && after_operand) || dot_after_digit ||
        !std::regex_search(text.begin() + static_cast<ptrdiff_t>(at), text.end(), match, number,
                           std::regex_constants::match_continuous)) {
      ++at;
      continue;
    }
    double value = value_of(match[2]);
    bool valid = std::isfinite(value);
    if (match[3].matched) {
      const double bottom = value_of(match[3]);
      valid = valid && bottom != 0 && std::isfinite(bottom) && std::isfinite(value / bottom);
      value /= bottom;
    }
    if (valid) last = match[1] == "-" ? -value : value;
    at += static_cast<size_t>(match.length());
  }
  return last;
}

TEST(LastNumber, EqualsARegularExpressionOnRandomText) {
  const std::string alphabet = "0123456789012345,,..+-/eE$ )x%";
  std::mt19937 random(1);
  int with_number = 0;
  for (int i = 0; i < 5000; ++i) {
    std::string text;
    for (size_t length = random() % 14; text.size() < length;)
      text += alphabet[random() % alphabet.size()];
    const auto expected = slow_last_number(text);
    ASSERT_EQ(last_number(text), expected) << text;
    with_number += expected.has_value();
  }
  EXPECT_GT(with_number, 3000);
}

TEST(LastNumber, IsLinearInTheLengthOfTheText) {
  for (const std::string_view piece : {"1", ",123", "1/", "-", ".", "1e", "$", "1,"}) {
    std::string text;
    while (text.size() < 2'000'000) text += piece;
    last_number(text);  // would not end if it were quadratic
  }
}

}  // namespace
}  // namespace treepo
