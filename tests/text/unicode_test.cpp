#include "text/unicode.h"

#include <gtest/gtest.h>

namespace treepo {
namespace {

std::string nfc(std::string_view text) {
  return normalize(text, NormalForm::nfc);
}
std::string nfd(std::string_view text) {
  return normalize(text, NormalForm::nfd);
}
std::string nfkc(std::string_view text) {
  return normalize(text, NormalForm::nfkc);
}

TEST(Normalize, Composes) {
  EXPECT_EQ(nfc("cafe\u0301"), "café");
  EXPECT_EQ(nfc("q\u0307\u0323"), "q\u0323\u0307");  // reordered, nothing to compose
  EXPECT_EQ(nfc("s\u0323\u0307"), "\u1E69");         // two steps
  EXPECT_EQ(nfc("\u1112\u1161\u11AB"), "\uD55C");    // Hangul
  EXPECT_EQ(nfc("\u212B"), "\u00C5");                // a singleton: Ångström
  EXPECT_EQ(nfc("\u0958"), "\u0915\u093C");          // a composition exclusion
  EXPECT_EQ(nfc("a\u0316\u0300"), "\u00E0\u0316");   // past a mark of a lower class
  EXPECT_EQ(nfc("plain ASCII, Größe, æ"), "plain ASCII, Größe, æ");
}

TEST(Normalize, Decomposes) {
  EXPECT_EQ(nfd("é\uD55C"), "e\u0301\u1112\u1161\u11AB");
  EXPECT_EQ(nfkc("ﬁ ² Ⅷ ｱ"), "fi 2 VIII ア");
  EXPECT_EQ(normalize("ﬁé", NormalForm::nfkd), "fie\u0301");
  EXPECT_EQ(nfkc("\uFDFA"),  // the longest decomposition
            "\u0635\u0644\u0649 \u0627\u0644\u0644\u0647 \u0639\u0644\u064A\u0647 "
            "\u0648\u0633\u0644\u0645");
}

TEST(Normalize, NfcAfterNfdIsTheSame) {
  for (char32_t c = 0xA0; c < 0x3000; ++c) {
    if (c == 0x340 || c == 0x341) continue;
    std::string text = "a";
    text += static_cast<char>(c < 0x800 ? 0xC0 | c >> 6 : 0xE0 | c >> 12);
    if (c >= 0x800) text += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    text += static_cast<char>(0x80 | (c & 0x3F));
    text += "\u0323\u0301";
    EXPECT_EQ(nfc(nfd(text)), nfc(text)) << static_cast<uint32_t>(c);
    EXPECT_EQ(nfc(nfc(text)), nfc(text)) << static_cast<uint32_t>(c);
  }
}

// The `tokenizers` library normalises by Unicode 9: younger characters stay, and part what is
// around them.
TEST(Normalize, LeavesYoungCharactersAlone) {
  EXPECT_EQ(nfc("\U00011935\U00011930"), "\U00011935\U00011930");  // U+11938 since Unicode 13
  EXPECT_EQ(nfkc("\u32FF"), "\u32FF");                             // the era Reiwa, Unicode 12.1
  EXPECT_EQ(nfc("a\u08D3\u0334"), "a\u08D3\u0334");                // not reordered
}

// Reordering must keep the order of equals, and not take time quadratic in the length of a run.
TEST(Normalize, SortsALongRunOfMarks) {
  std::string text = "x", above, below;
  for (int i = 0; i < 200'000; ++i) {
    const std::string mark = i % 3 ? "\u030B" : "\u0313";  // both of class 230
    text += mark + "\u0316";
    above += mark;
    below += "\u0316";
  }
  EXPECT_EQ(nfc(text), "x" + below + above);
}

TEST(Characters, Classes) {
  EXPECT_TRUE(is_white_space(0x3000) && is_white_space(0x85) && is_white_space(' '));
  EXPECT_FALSE(is_white_space(0x180E) || is_white_space(0x200B) || is_white_space(0x1C));
  EXPECT_TRUE(is_word_character('_') && is_word_character(0x301) && is_word_character(0x24B6));
  EXPECT_TRUE(is_word_character(0x31350));  // CJK extension H, Unicode 15
  EXPECT_FALSE(is_word_character('-') || is_word_character(0xB2) || is_word_character(0x1F600));
  EXPECT_TRUE(is_number(0xBD) && is_number(0x664) && is_number(0x1E4F0));
  EXPECT_FALSE(is_number('a'));
  EXPECT_EQ(lower_case("ÀİΣ"), "ài\u0307σ");
  EXPECT_EQ(lower_case("\uA7DC\U00016EA1"), "\u019B\U00016EBC");  // Unicode 16, 17
}

}  // namespace
}  // namespace treepo
