#include "text/utf8.h"

#include <gtest/gtest.h>

#include <vector>

namespace treepo {
namespace {

std::string lossy(std::string_view bytes) {
  std::string out;
  EXPECT_EQ(append_lossy_utf8(bytes, true, out), bytes.size());
  return out;
}

TEST(Utf8, EveryCodePointIsWrittenAndReadBack) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(c, text);
    ASSERT_EQ(valid_utf8_prefix(text), text.size()) << static_cast<uint32_t>(c);
    size_t offset = 0;
    ASSERT_EQ(next_code_point(text, offset), c);
    ASSERT_EQ(offset, text.size());
    ASSERT_EQ(previous_character(text, text.size()), 0u);
  }
}

TEST(Utf8, FindsTheFirstWrongByte) {
  EXPECT_EQ(valid_utf8_prefix("aé€😀"), 10u);
  EXPECT_EQ(valid_utf8_prefix("a\xFF"), 1u);
  EXPECT_EQ(valid_utf8_prefix("\xC0\x80"), 0u);          // overlong
  EXPECT_EQ(valid_utf8_prefix("\xE0\x9F\x80"), 0u);      // overlong
  EXPECT_EQ(valid_utf8_prefix("ab\xED\xA0\x80"), 2u);    // a surrogate
  EXPECT_EQ(valid_utf8_prefix("\xF4\x90\x80\x80"), 0u);  // above U+10FFFF
  EXPECT_EQ(valid_utf8_prefix("x\xE2\x82"), 1u);         // cut off
}

// The examples of the Unicode standard, tables 3-8 to 3-11.
TEST(Utf8, ReplacesEachMaximalWrongPart) {
  const std::string r = "\uFFFD";
  EXPECT_EQ(lossy("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(lossy("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(lossy("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(lossy("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), r + r + r + r + "A");
  EXPECT_EQ(lossy("a\xE2\x82"), "a" + r);
}

TEST(Utf8, KeepsACutCharacterForLater) {
  std::string out;
  EXPECT_EQ(append_lossy_utf8("ab\xF0\x9F\x98", false, out), 2u);
  EXPECT_EQ(out, "ab");
  EXPECT_EQ(append_lossy_utf8("\xF0\x9F\x41", false, out), 3u);  // wrong now: no later byte helps
  EXPECT_EQ(out, "ab\uFFFDA");
}

}  // namespace
}  // namespace treepo
