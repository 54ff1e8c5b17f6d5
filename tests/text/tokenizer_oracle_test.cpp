// Ids and texts must be those of the reference tokenizers, for every case in the assets.
#include <algorithm>
#include <sstream>

#include "text/tokenizer_support.h"
#include "text/utf8.h"

namespace treepo {
namespace {

using Ids = std::vector<int32_t>;

const std::string kExpected = kAssets + "/tokenizers/expected-ids/";

class GeneratedCases : public testing::TestWithParam<std::string> {};

// Made by the `tokenizers` library 0.23.3.
TEST_P(GeneratedCases, EqualTheLibrary) {
  SKIP_WITHOUT_ASSETS();
  const Tokenizer tokenizer = asset_tokenizer(GetParam());
  const auto rows = read_rows(kExpected + "generated_" + GetParam() + ".jsonl");
  ASSERT_EQ(rows.size(), 426u);
  for (const Json& row : rows) {
    const auto text = row["text"].get<std::string>();
    const auto ids = row["ids"].get<Ids>();
    EXPECT_EQ(tokenizer.encode(text, false), ids) << text;
    EXPECT_EQ(tokenizer.encode(text, true), row["ids_with_special"].get<Ids>()) << text;
    EXPECT_EQ(tokenizer.decode(ids, false), row["decoded"].get<std::string>()) << text;
    EXPECT_EQ(tokenizer.decode(ids, true), row["decoded_skip_special"].get<std::string>()) << text;
  }
}

// Token by token the same text comes out, never a part of a character.
TEST_P(GeneratedCases, StreamToTheSameText) {
  SKIP_WITHOUT_ASSETS();
  const Tokenizer tokenizer = asset_tokenizer(GetParam());
  for (const Json& row : read_rows(kExpected + "generated_" + GetParam() + ".jsonl")) {
    for (const bool skip_special : {false, true}) {
      StreamingDecoder stream(tokenizer, skip_special);
      std::string text;
      for (const auto id : row["ids_with_special"].get<Ids>()) {
        const std::string part = stream.push(id);
        ASSERT_EQ(valid_utf8_prefix(part), part.size()) << row["text"];
        text += part;
      }
      text += stream.finish();
      EXPECT_EQ(text, tokenizer.decode(row["ids_with_special"].get<Ids>(), skip_special));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, GeneratedCases,
                         testing::Values("qwen2.5", "llama3", "bbpe-1k", "llama3-style-1k",
                                         "sp-bpe-1k", "sp-bpe-1k-legacy"),
                         [](const auto& param_info) {
                           std::string name = param_info.param;
                           std::erase_if(name, [](char c) { return c == '-' || c == '.'; });
                           return name;
                         });

// What transformers' option clean_up_tokenization_spaces does to decoded text: the Llama 3 file was
// made with it (it matters in one case), the Qwen file without.
std::string clean_up(std::string text) {
  const std::pair<std::string, std::string> rules[] = {
      {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
      {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : rules) {
    for (size_t at = text.find(from); at != std::string::npos;
         at = text.find(from, at + to.size())) {
      text.replace(at, from.size(), to);
    }
  }
  return text;
}

void expect_xenova_cases(const std::string& file, const std::string& name, size_t count,
                         bool cleaned_up) {
  const Tokenizer tokenizer = asset_tokenizer(name);
  const auto rows = read_rows(kExpected + file);
  ASSERT_EQ(rows.size(), count);
  for (const Json& row : rows) {
    const auto ids = row["ids"].get<Ids>();
    EXPECT_EQ(tokenizer.encode(row["text"].get<std::string>(), false), ids) << row["case"];
    EXPECT_EQ(tokens_of(tokenizer, row["text"]), row["tokens"].get<std::vector<std::string>>());
    const std::string text = tokenizer.decode(ids, false);
    EXPECT_EQ(cleaned_up ? clean_up(text) : text, row["decoded"].get<std::string>()) << row["case"];
  }
}

TEST(XenovaCases, Llama3) {
  SKIP_WITHOUT_ASSETS();
  expect_xenova_cases("llama__Xenova_llama3-tokenizer.jsonl", "llama3", 37, true);
}

// Qwen1.5 has the vocabulary of Qwen2.5, and only added tokens that this one has, too.
TEST(XenovaCases, Qwen) {
  SKIP_WITHOUT_ASSETS();
  expect_xenova_cases("qwen2__Xenova_Qwen1.5-0.5B-Chat.jsonl", "qwen2.5", 25, false);
}

// Texts are separated by a line "__ggml_vocab_test__", their ids stand in lines.
void expect_ggml_cases(const std::string& file, const std::string& name) {
  const Tokenizer tokenizer = asset_tokenizer(name);
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::string rest = read_file(kExpected + file + ".inp") + separator;
  std::istringstream lines(read_file(kExpected + file + ".out"));
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    std::istringstream numbers(line);
    Ids expected;
    for (int32_t id = 0; numbers >> id;) expected.push_back(id);
    const size_t end = rest.find(separator);
    ASSERT_NE(end, std::string::npos);
    EXPECT_EQ(tokenizer.encode(rest.substr(0, end), false), expected) << rest.substr(0, end);
    rest.erase(0, end + separator.size());
  }
  EXPECT_EQ(count, 46u);
  EXPECT_EQ(rest, separator);  // what follows the last separator line
}

TEST(GgmlCases, Llama3) {
  SKIP_WITHOUT_ASSETS();
  expect_ggml_cases("ggml-vocab-llama-bpe.gguf", "llama3");
}

TEST(GgmlCases, Qwen) {
  SKIP_WITHOUT_ASSETS();
  expect_ggml_cases("ggml-vocab-qwen2.gguf", "qwen2.5");
}

}  // namespace
}  // namespace treepo
