#include "text/text_rules.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "text/utf8.h"

namespace treepo {
namespace {

TEST(CompleteBox, BalancedBraces) {
  EXPECT_TRUE(has_complete_box(R"(so \boxed{42}.)"));
  EXPECT_TRUE(has_complete_box(R"(\boxed{})"));
  EXPECT_TRUE(has_complete_box(R"(\boxed{\frac{1}{2}})"));
  EXPECT_TRUE(has_complete_box(R"({ \boxed{1})"));  // an open brace outside
  EXPECT_TRUE(has_complete_box(R"(} \boxed{1})"));
  EXPECT_TRUE(has_complete_box(R"(\boxed{a \boxed{1})"));  // the inner one
  EXPECT_FALSE(has_complete_box(R"(\boxed{\frac{1}{2})"));
  EXPECT_FALSE(has_complete_box(R"(\boxed{1)"));
  EXPECT_FALSE(has_complete_box(R"(boxed{1} \boxed 1 \boxed)"));
  EXPECT_FALSE(has_complete_box(R"(\fbox{1})"));
  EXPECT_FALSE(has_complete_box(""));
}

TEST(CompleteBox, EscapedBracesAreText) {
  EXPECT_FALSE(has_complete_box(R"(\boxed{\})"));
  EXPECT_FALSE(has_complete_box(R"(\boxed{\{1\})"));
  EXPECT_TRUE(has_complete_box(R"(\boxed{\{1, 2\}})"));
  EXPECT_TRUE(has_complete_box(R"(\boxed{\{})"));
  EXPECT_TRUE(has_complete_box(R"(\boxed{1\\})"));  // a line break, then a brace
  EXPECT_TRUE(has_complete_box(R"(\\boxed{1})"));
}

// The definition, tried out.
bool repeats_slowly(const std::u32string& text, size_t length, size_t count) {
  for (size_t i = 0; i + length <= text.size(); ++i) {
    size_t found = 0;
    for (size_t j = 0; j + length <= text.size(); ++j) {
      found += text.compare(i, length, text, j, length) == 0;
    }
    if (found >= count) return true;
  }
  return false;
}

TEST(Repeats, EqualsTheDefinition) {
  std::mt19937 random(7);
  const std::u32string alphabet = U"ab€😀";
  for (int round = 0; round < 3000; ++round) {
    std::u32string text;
    std::string bytes;
    const size_t size = random() % 30;
    const size_t letters = 1 + random() % alphabet.size();
    for (size_t i = 0; i < size; ++i) {
      text += alphabet[random() % letters];
      append_utf8(text.back(), bytes);
    }
    const size_t length = 1 + random() % 6;
    const size_t count = 1 + random() % 6;
    ASSERT_EQ(repeats(bytes, length, count), repeats_slowly(text, length, count))
        << bytes << ", length " << length << ", count " << count;
  }
}

TEST(Repeats, ThePapersRule) {
  const std::string line = "Therefore the answer has to be 7. ";  // 34 characters
  std::string text;
  for (int i = 0; i < 8; ++i) text += line + std::to_string(i) + "\n";
  EXPECT_TRUE(repeats(text, 32, 8));
  EXPECT_FALSE(repeats(text, 32, 9));
  EXPECT_FALSE(repeats(text, 36, 8));
  EXPECT_TRUE(repeats(std::string(39, ' '), 32, 8));  // occurrences overlap
  EXPECT_FALSE(repeats(std::string(38, ' '), 32, 8));
}

TEST(Repeats, LongTextsTakeLinearTime) {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += static_cast<char>('a' + (i * 7919 + i / 26) % 26);
  EXPECT_FALSE(repeats(text, 5000, 150'000));
}

}  // namespace
}  // namespace treepo
