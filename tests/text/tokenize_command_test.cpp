#include "text/tokenize_command.h"

#include <gmock/gmock.h>

#include <sstream>

#include "support/expect_error.h"
#include "text/tokenizer_support.h"

namespace treepo {
namespace {

using testing::HasSubstr;

std::string tokenized(const Tokenizer& tokenizer, const std::string& input, bool special = false) {
  std::istringstream in(input);
  std::ostringstream out;
  tokenize_lines(tokenizer, in, "input", out, special);
  return out.str();
}

std::string detokenized(const Tokenizer& tokenizer, const std::string& input, bool skip = false) {
  std::istringstream in(input);
  std::ostringstream out;
  detokenize_lines(tokenizer, in, "input", out, skip);
  return out.str();
}

Tokenizer small_tokenizer() {
  Json file = plain_tokenizer({"a", "é", "\u2028", "\r", "\n", "\""});
  file["added_tokens"] = Json::array({added_token(6, "<s>")});
  file["added_tokens"][0]["special"] = true;
  file["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single",
       {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
        {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
      {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {6}}, {"tokens", {"<s>"}}}}}}};
  return load_text(file.dump());
}

// Only "\n" ends a line: U+2028 inside a text, or "\r\n", must not.
TEST(TokenizeCommand, LinesToIdsAndBack) {
  const Tokenizer tokenizer = small_tokenizer();
  EXPECT_EQ(
      tokenized(tokenizer, "{\"text\": \"aé\u2028a\"}\r\n\r\n{\"text\": \"\"}\n{\"text\":\"\\n\"}"),
      "{\"ids\":[0,1,2,0]}\n{\"ids\":[]}\n{\"ids\":[4]}\n");
  EXPECT_EQ(tokenized(tokenizer, "{\"text\": \"a\"}", true), "{\"ids\":[6,0]}\n");
  EXPECT_EQ(detokenized(tokenizer, "{\"ids\": [6, 0, 1, 2, 5, 4]}\n{\"ids\":[]}"),
            "{\"text\":\"<s>aé\u2028\\\"\\n\"}\n{\"text\":\"\"}\n");
  EXPECT_EQ(detokenized(tokenizer, "{\"ids\": [6, 0]}", true), "{\"text\":\"a\"}\n");
}

TEST(TokenizeCommand, BadLinesAreNamed) {
  const Tokenizer tokenizer = small_tokenizer();
  const std::string good = "{\"text\": \"a\", \"ids\": [0]}\n\n";
  for (const std::string bad : {"{\"text\": ", "{\"text\": 3}", "{\"txt\": \"a\"}", "[1]",
                                "{\"text\": \"\xFF\"}", "{\"text\": \"\\ud800\"}"}) {
    EXPECT_THAT(error_of([&] { tokenized(tokenizer, good + bad); }), HasSubstr("input, line 3: "))
        << bad;
  }
  for (const std::string bad : {"{\"ids\": [0, -1]}", "{\"ids\": [1.5]}", "{\"ids\": 3}", "{}",
                                "{\"ids\": [4294967296]}", "{\"ids\": [null]}"}) {
    EXPECT_THAT(error_of([&] { detokenized(tokenizer, good + bad); }), HasSubstr("input, line 3: "))
        << bad;
  }
}

TEST(TokenizeCommand, GoodLinesBeforeABadOneAreWritten) {
  const Tokenizer tokenizer = small_tokenizer();
  std::istringstream in("{\"text\":\"a\"}\n{");
  std::ostringstream out;
  EXPECT_THAT(error_of([&] { tokenize_lines(tokenizer, in, "input", out, false); }),
              HasSubstr("line 2"));
  EXPECT_EQ(out.str(), "{\"ids\":[0]}\n");
}

}  // namespace
}  // namespace treepo
