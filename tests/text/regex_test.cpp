#include "text/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace treepo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> matches(const std::string& pattern, const std::string& text) {
  std::vector<TextSpan> spans;
  Regex(pattern, "here").find_all(text, spans);
  std::vector<std::string> out;
  for (const TextSpan& span : spans) out.push_back(text.substr(span.begin, span.end - span.begin));
  return out;
}

TEST(Regex, QwenSplit) {
  const std::string pattern =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  EXPECT_THAT(matches(pattern, "It'S  24 °C,\n\n né  "),
              ElementsAre("It", "'S", " ", " ", "2", "4", " °", "C", ",\n\n", " né", "  "));
}

// What PCRE2 would read otherwise: white space has no U+180E, letters have those of Unicode 16,
// \v is one character, $ matches at line ends.
TEST(Regex, ReadsOnigurumaSyntax) {
  EXPECT_THAT(matches(R"(\s+)", "a\u180Eb\u00A0\u2003c"), ElementsAre("\u00A0\u2003"));
  EXPECT_THAT(matches(R"([^\s]+)", "a\u180Eb \v"), ElementsAre("a\u180Eb"));
  EXPECT_THAT(matches(R"(\S+)", "a\u180Eb c"), ElementsAre("a\u180Eb", "c"));
  EXPECT_THAT(matches(R"([\S]+)", "a\u180Eb c"), ElementsAre("a\u180Eb", "c"));
  EXPECT_THAT(matches(R"(\p{L}+)", "a\U00031350b1"), ElementsAre("a\U00031350b"));
  EXPECT_THAT(matches(R"(\P{L}+)", "a1\U00031350"), ElementsAre("1"));
  EXPECT_THAT(matches(R"(\p{^L}+)", "a1b"), ElementsAre("1"));
  EXPECT_THAT(matches(R"(\w+)", "ab\u0301_½ⓐ-²"), ElementsAre("ab\u0301_½ⓐ", "²"));
  EXPECT_THAT(matches(R"(\h+)", "12fFg \t"), ElementsAre("12fF"));
  EXPECT_THAT(matches(R"(\v)", "\n\v"), ElementsAre("\v"));
  EXPECT_THAT(matches(R"([a-z]$)", "ab\ncd"), ElementsAre("b", "d"));
  EXPECT_THAT(matches(R"(\u00e9|\x{e8})", "aéè"), ElementsAre("é", "è"));
  EXPECT_THAT(matches(R"(\p{Han}+)", "漢字、かな"), ElementsAre("漢字"));
  EXPECT_THAT(matches(R"((?i:'s))", "'S'ſ"), ElementsAre("'S", "'ſ"));
  EXPECT_THAT(matches(R"(\p{N}{1,3}|{)", "12345{"), ElementsAre("123", "45", "{"));
}

// An empty match is none where the match before ended.
TEST(Regex, EmptyMatches) {
  EXPECT_THAT(matches("x*", "axxb"), ElementsAre("", "xx", ""));
  EXPECT_THAT(matches("x*", ""), ElementsAre(""));
  EXPECT_THAT(matches("", "é"), ElementsAre("", ""));
}

TEST(Regex, RefusesWhatTheEnginesReadDifferently) {
  for (const char* pattern :
       {R"(\bword\b)", R"((a)\1)", R"([a[bc]])", R"([a-z&&[^b]])", R"([[:alpha:]])",
        R"(\p{N}{1,3}+)", R"((?m:.))", R"(a(?i)b)", R"(a{,3})", R"([\W])", R"(\xE9)",
        R"(\p{Script=Han})", R"(\R)", R"(\p{Cn})", "(*UTF)x", "trailing\\"}) {
    EXPECT_THAT(error_of([&] { Regex(pattern, "f.json: key"); }),
                HasSubstr("f.json: key: unsupported part"))
        << pattern;
  }
  for (const char* pattern : {"(", "[a", "*a", R"(\p{NoSuchScript})"}) {
    EXPECT_THAT(error_of([&] { Regex(pattern, "f.json: key"); }),
                HasSubstr("f.json: key: unsupported regular expression"))
        << pattern;
  }
}

// One long run must neither fail (a limit of the engine) nor take quadratic time.
TEST(Regex, LongRuns) {
  const std::string spaces(1'000'000, ' ');
  EXPECT_EQ(matches(R"(\s*[\r\n]+|\s+(?!\S)|\s+)", spaces + "x").front().size(), spaces.size() - 1);
  EXPECT_EQ(matches(R"(\p{L}+)", std::string(1'000'000, 'a')).size(), 1u);
}

}  // namespace
}  // namespace treepo
