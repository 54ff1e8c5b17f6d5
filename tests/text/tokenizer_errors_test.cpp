// A tokenizer.json that is broken or unsupported gives an Error that names file, key and value.
#include <gmock/gmock.h>

#include <functional>
#include <random>

#include "support/expect_error.h"
#include "text/tokenizer_support.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string load_error(const std::string& text) {
  return error_of([&] { load_text(text); });
}

// The error after `change` to a good file.
std::string error_after(const std::function<void(Json&)>& change) {
  Json file = plain_tokenizer({"a", "b", "ab"}, {"a b"});
  file["added_tokens"] = Json::array({added_token(3, "<x>")});
  change(file);
  return load_error(file.dump());
}

TEST(TokenizerErrors, MissingFile) {
  const TemporaryDirectory empty;
  EXPECT_THAT(error_of([&] { Tokenizer::load(empty.path()); }),
              AllOf(HasSubstr("tokenizer.json does not exist"), HasSubstr("save_pretrained")));
  EXPECT_THAT(error_of([&] { Tokenizer::load(empty / "nowhere"); }), HasSubstr("nowhere"));
}

TEST(TokenizerErrors, TruncatedFile) {
  const std::string whole = plain_tokenizer({"a", "b", "ab"}, {"a b"}).dump();
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(load_error(whole.substr(0, size)), HasSubstr("tokenizer.json: ")) << size;
  }
  EXPECT_EQ(load_error(whole), "(no error was thrown)");
}

TEST(TokenizerErrors, WrongTypes) {
  EXPECT_THAT(load_error("[]"), HasSubstr("tokenizer.json: "));
  EXPECT_THAT(error_after([](Json& file) { file.erase("model"); }),
              HasSubstr("\"model\" is missing"));
  EXPECT_THAT(error_after([](Json& file) { file["model"] = 3; }),
              HasSubstr("\"model\" must be an object, but is 3"));
  EXPECT_THAT(error_after([](Json& file) { file["model"]["vocab"] = Json::array(); }),
              HasSubstr("model: \"vocab\" must be an object"));
  EXPECT_THAT(error_after([](Json& file) { file["model"]["vocab"] = Json::object(); }),
              HasSubstr("model.vocab: the vocabulary is empty"));
  EXPECT_THAT(error_after([](Json& file) { file["model"]["vocab"]["b"] = "1"; }),
              HasSubstr("model.vocab: the id of \"b\" must be an integer"));
  EXPECT_THAT(error_after([](Json& file) { file["model"]["vocab"]["b"] = -1; }),
              HasSubstr("the id of \"b\""));
  EXPECT_THAT(error_after([](Json& file) { file["model"]["vocab"]["b"] = 1e18; }),
              HasSubstr("the id of \"b\""));
  EXPECT_THAT(error_after([](Json& file) { file["model"]["vocab"]["b"] = 0; }),
              HasSubstr("\"a\" and \"b\" have the same id 0"));
  EXPECT_THAT(
      error_after([](Json& file) { file["model"]["byte_fallback"] = "yes"; }),
      HasSubstr("model: \"byte_fallback\" must be true or false, but is the string \"yes\""));
  EXPECT_THAT(error_after([](Json& file) {
                file["normalizer"] = {{"type", 7}};
              }),
              HasSubstr("normalizer: \"type\" must be a string, but is 7"));
  EXPECT_THAT(error_after([](Json& file) { file["pre_tokenizer"] = "ByteLevel"; }),
              HasSubstr("\"pre_tokenizer\" must be an object"));
  EXPECT_THAT(error_after([](Json& file) { file["added_tokens"][0].erase("lstrip"); }),
              HasSubstr("added_tokens[0]: \"lstrip\" is missing"));
}

TEST(TokenizerErrors, Merges) {
  const auto with_merge = [](const Json& merge) {
    return error_after([&](Json& file) { file["model"]["merges"].push_back(merge); });
  };
  EXPECT_EQ(with_merge(Json::array({"a", "b"})), "(no error was thrown)");
  EXPECT_THAT(with_merge("a z"), HasSubstr("model.merges[1] needs the token \"z\""));
  EXPECT_THAT(with_merge("b a"), HasSubstr("model.merges[1] needs the token \"ba\""));
  for (const Json& merge : {Json("ab"), Json("a b c"), Json(3), Json::array({"a"}),
                            Json::array({"a", 1}), Json(nullptr)}) {
    EXPECT_THAT(with_merge(merge), HasSubstr("model.merges[1] must be \"a b\" or [\"a\", \"b\"]"));
  }
}

TEST(TokenizerErrors, UnsupportedParts) {
  EXPECT_THAT(error_after([](Json& file) { file["model"]["type"] = "Unigram"; }),
              AllOf(HasSubstr("tokenizer.json: model: unsupported \"type\": \"Unigram\""),
                    HasSubstr("supported: BPE")));
  EXPECT_THAT(error_after([](Json& file) { file["model"]["dropout"] = 0.1; }),
              HasSubstr("model: unsupported \"dropout\": \"0.1\""));
  EXPECT_THAT(error_after([](Json& file) { file["model"]["end_of_word_suffix"] = "</w>"; }),
              HasSubstr("unsupported \"end_of_word_suffix\": \"</w>\""));
  const Json nested = {
      {"type", "Sequence"},
      {"normalizers",
       {{{"type", "NFC"}},
        {{"type", "Sequence"}, {"normalizers", Json::array({{{"type", "Nmt"}}})}}}}};
  EXPECT_THAT(error_after([&](Json& file) { file["normalizer"] = nested; }),
              HasSubstr("normalizer.normalizers[1].normalizers[0]: unsupported \"type\": \"Nmt\""));
  EXPECT_THAT(error_after([](Json& file) {
                file["pre_tokenizer"] = {{"type", "Punctuation"}};
              }),
              HasSubstr("pre_tokenizer: unsupported \"type\": \"Punctuation\""));
  EXPECT_THAT(error_after([](Json& file) {
                file["pre_tokenizer"] = {{"type", "Split"},
                                         {"pattern", {{"Regex", "(a)\\1"}}},
                                         {"behavior", "Isolated"}};
              }),
              HasSubstr("pre_tokenizer.pattern.Regex: unsupported part \"\\1\" at byte 3"));
  EXPECT_THAT(error_after([](Json& file) {
                file["pre_tokenizer"] = {
                    {"type", "Split"}, {"pattern", {{"String", "a"}}}, {"behavior", "Glued"}};
              }),
              HasSubstr("unsupported \"behavior\": \"Glued\""));
  EXPECT_THAT(error_after([](Json& file) {
                file["pre_tokenizer"] = {
                    {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "last"}};
              }),
              HasSubstr("unsupported \"prepend_scheme\": \"last\""));
  EXPECT_THAT(error_after([](Json& file) {
                file["post_processor"] = {{"type", "Bert"}};
              }),
              HasSubstr("post_processor: unsupported \"type\": \"Bert\""));
  EXPECT_THAT(error_after([](Json& file) {
                file["decoder"] = {{"type", "WordPiece"}};
              }),
              HasSubstr("decoder: unsupported \"type\": \"WordPiece\""));
}

TEST(TokenizerErrors, AddedTokens) {
  EXPECT_THAT(error_after([](Json& file) { file["added_tokens"][0]["id"] = 9; }),
              HasSubstr("added_tokens[0]: the token \"<x>\" has \"id\" 9, but must have 3"));
  EXPECT_THAT(error_after([](Json& file) { file["added_tokens"][0]["id"] = int64_t{1} << 40; }),
              HasSubstr("added_tokens[0]: \"id\" cannot be 1099511627776"));
  EXPECT_THAT(error_after([](Json& file) {
                file["added_tokens"].push_back(file["added_tokens"][0]);
                file["added_tokens"][1]["lstrip"] = true;
              }),
              HasSubstr("added_tokens[1]: the token \"<x>\" is there twice"));
}

TEST(TokenizerErrors, Template) {
  const Json piece = {{"SpecialToken", {{"id", "<x>"}, {"type_id", 0}}}};
  EXPECT_THAT(error_after([&](Json& file) {
                file["post_processor"] = {{"type", "TemplateProcessing"},
                                          {"single", Json::array({piece})},
                                          {"special_tokens", Json::object()}};
              }),
              HasSubstr("post_processor.single[0] (its special_tokens): \"<x>\" is missing"));
}

TEST(TokenizerErrors, UnknownTokenThatTheVocabularyLacks) {
  Json file = plain_tokenizer({"a"});
  file["model"]["unk_token"] = "<unk>";
  const Tokenizer tokenizer = load_text(file.dump());
  EXPECT_THAT(error_of([&] { tokenizer.encode("aé", false); }),
              AllOf(HasSubstr("\"é\""), HasSubstr("\"<unk>\"")));
}

// Damaged files must load or give an Error: nothing else may be thrown, and nothing may crash.
TEST(TokenizerErrors, DamagedFiles) {
  SKIP_WITHOUT_ASSETS();
  std::mt19937 random(11);
  const std::string stray = "\"{}[],:0- \\ntruefalse\xFF";
  for (const char* name : {"bbpe-1k", "sp-bpe-1k-legacy"}) {
    const std::string whole = read_file(kAssets + "/tokenizers/" + name + "/tokenizer.json");
    for (int round = 0; round < 150; ++round) {
      std::string text = whole;
      // Most of the file is vocabulary; half of the damage goes to the beginning and the end.
      const size_t reach = round % 2 ? text.size() : 3000;
      for (int i = 0; i < 3; ++i) {
        const size_t at = random() % reach;
        text[i % 2 ? text.size() - 1 - at : at] = stray[random() % stray.size()];
      }
      try {
        const Tokenizer tokenizer = load_text(text);
        const std::vector<int32_t> ids = tokenizer.encode("Hello  <s> wörld\n12", true);
        tokenizer.decode(ids, true);
      } catch (const Error&) {
      }
    }
  }
}

}  // namespace
}  // namespace treepo
