#include "text/tokenizer.h"

#include <gmock/gmock.h>

#include <random>
#include <thread>

#include "support/expect_error.h"
#include "text/tokenizer_support.h"
#include "text/utf8.h"

namespace treepo {
namespace {

using Ids = std::vector<int32_t>;
using Strings = std::vector<std::string>;
using testing::ElementsAre;
using testing::HasSubstr;

// A tokenizer that shows how a pre-tokenizer cuts: every piece in `pieces` is one token.
Tokenizer whole_piece_tokenizer(const Json& pre_tokenizer, const Strings& pieces) {
  Json file = plain_tokenizer(pieces);
  file["pre_tokenizer"] = pre_tokenizer;
  file["model"]["ignore_merges"] = true;
  return load_text(file.dump());
}

Json split(const std::string& behavior, bool invert = false) {
  return {{"type", "Split"},
          {"pattern", {{"String", "-"}}},
          {"behavior", behavior},
          {"invert", invert}};
}

// The example of the `tokenizers` documentation.
TEST(PreTokenizer, SplitBehaviors) {
  const std::string text = "the-final--countdown";
  const auto cut = [&](const Json& step, const Strings& pieces) {
    EXPECT_EQ(tokens_of(whole_piece_tokenizer(step, pieces), text).size(), pieces.size() + 0u)
        << step;
  };
  cut(split("Removed"), {"the", "final", "countdown"});
  EXPECT_THAT(
      tokens_of(whole_piece_tokenizer(split("Isolated"), {"the", "-", "final", "countdown"}), text),
      ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(tokens_of(whole_piece_tokenizer(split("MergedWithPrevious"),
                                              {"the-", "final-", "-", "countdown"}),
                        text),
              ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(tokens_of(whole_piece_tokenizer(split("MergedWithNext"),
                                              {"the", "-final", "-", "-countdown"}),
                        text),
              ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(tokens_of(whole_piece_tokenizer(split("Contiguous"),
                                              {"the", "-", "final", "--", "countdown"}),
                        text),
              ElementsAre("the", "-", "final", "--", "countdown"));
  EXPECT_THAT(tokens_of(whole_piece_tokenizer(split("Removed", true), {"-"}), text),
              ElementsAre("-", "-", "-"));
}

TEST(PreTokenizer, Digits) {
  const Strings pieces = {"a", "1", "2", "½", "12½"};
  EXPECT_THAT(
      tokens_of(whole_piece_tokenizer({{"type", "Digits"}, {"individual_digits", true}}, pieces),
                "a12½a"),
      ElementsAre("a", "1", "2", "½", "a"));
  EXPECT_THAT(
      tokens_of(whole_piece_tokenizer({{"type", "Digits"}, {"individual_digits", false}}, pieces),
                "a12½a"),
      ElementsAre("a", "12½", "a"));
}

Json metaspace(const std::string& scheme, bool splits) {
  return {
      {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", scheme}, {"split", splits}};
}

TEST(PreTokenizer, Metaspace) {
  const auto tokens = [](const Json& step, const std::string& text) {
    Json file = plain_tokenizer({"▁", "a", "▁a", "a▁a", "▁a▁a", "<x>"});
    file["pre_tokenizer"] = step;
    file["model"]["ignore_merges"] = true;
    file["added_tokens"] = Json::array({added_token(5, "<x>")});
    return tokens_of(load_text(file.dump()), text);
  };
  EXPECT_THAT(tokens(metaspace("always", true), "a a<x>a"), ElementsAre("▁a", "▁a", "<x>", "▁a"));
  EXPECT_THAT(tokens(metaspace("first", true), "a a<x>a"), ElementsAre("▁a", "▁a", "<x>", "a"));
  EXPECT_THAT(tokens(metaspace("never", true), "a a<x>a"), ElementsAre("a", "▁a", "<x>", "a"));
  EXPECT_THAT(tokens(metaspace("always", false), " a a"), ElementsAre("▁a▁a"));
  EXPECT_THAT(tokens(metaspace("never", false), "a a"), ElementsAre("a▁a"));
  EXPECT_THAT(tokens(metaspace("first", true), "<x>a"), ElementsAre("<x>", "a"));
  const Json after_split = {{"type", "Sequence"},
                            {"pretokenizers", {split("Removed"), metaspace("first", true)}}};
  EXPECT_THAT(tokens(after_split, "a-a"), ElementsAre("▁a", "a"));
  EXPECT_THAT(tokens(after_split, "-a"), ElementsAre("a"));
}

// Without a regex everything is one piece, with it GPT-2's split applies; a space in front if
// asked.
TEST(PreTokenizer, ByteLevel) {
  const auto tokens = [](bool add_prefix_space, bool use_regex) {
    Json file = plain_tokenizer({"a", "1", "Ġ", "a1Ġ1", "Ġa1Ġ1", "Ġa", "Ġ1"});
    file["pre_tokenizer"] = {{"type", "ByteLevel"},
                             {"add_prefix_space", add_prefix_space},
                             {"trim_offsets", true},
                             {"use_regex", use_regex}};
    file["model"]["ignore_merges"] = true;
    return tokens_of(load_text(file.dump()), "a1 1");
  };
  EXPECT_THAT(tokens(false, false), ElementsAre("a1Ġ1"));
  EXPECT_THAT(tokens(true, false), ElementsAre("Ġa1Ġ1"));
  EXPECT_THAT(tokens(false, true), ElementsAre("a", "1", "Ġ1"));
  EXPECT_THAT(tokens(true, true), ElementsAre("Ġa", "1", "Ġ1"));
}

TEST(Normalizer, StepsInOrder) {
  Json file = plain_tokenizer({"x", "é", "_", ">"});
  file["normalizer"] = {
      {"type", "Sequence"},
      {"normalizers",
       {{{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}},
        {{"type", "Lowercase"}},
        {{"type", "NFC"}},
        {{"type", "Replace"}, {"pattern", {{"Regex", "[0-9]+"}}}, {"content", "x"}},
        {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "_"}},
        {{"type", "Prepend"}, {"prepend", ">"}}}}};
  const Tokenizer tokenizer = load_text(file.dump());
  EXPECT_THAT(tokens_of(tokenizer, " \u3000E\u0301 12X\n"), ElementsAre(">", "é", "_", "x", "x"));
  EXPECT_THAT(tokens_of(tokenizer, "   "), ElementsAre());
}

Tokenizer with_added_token(const std::string& content, const std::string& flag) {
  Json file = plain_tokenizer({"a", " ", "b"});
  Json token = added_token(3, content);
  if (!flag.empty()) token[flag] = true;
  file["added_tokens"] = Json::array({token});
  return load_text(file.dump());
}

TEST(AddedTokens, StripRules) {
  EXPECT_EQ(with_added_token("<t>", "").encode("a <t> b", false), (Ids{0, 1, 3, 1, 2}));
  EXPECT_EQ(with_added_token("<t>", "lstrip").encode("a \t<t> b", false), (Ids{0, 3, 1, 2}));
  EXPECT_EQ(with_added_token("<t>", "rstrip").encode("a <t> \n b", false), (Ids{0, 1, 3, 2}));
  EXPECT_EQ(with_added_token("<t>", "rstrip").encode("<t> ", false), (Ids{3}));
  EXPECT_EQ(with_added_token("ab", "single_word").encode("ab aab ab", false),
            (Ids{3, 1, 0, 0, 2, 1, 3}));
  EXPECT_EQ(with_added_token("ab", "single_word").encode("ab_ab\u0301", false), (Ids{0, 2, 0, 2}));
}

// A token of white space is found although the one before it takes white space, too; but not if it
// begins where that one ends.
TEST(AddedTokens, WhiteSpaceThatTwoTokensClaim) {
  Json file = plain_tokenizer({"a"});
  file["added_tokens"] = Json::array({added_token(1, "<t>"), added_token(2, "\n")});
  file["added_tokens"][0]["rstrip"] = true;
  EXPECT_EQ(load_text(file.dump()).encode("<t> \n a", false), (Ids{1, 2, 0}));
  file["added_tokens"][1]["lstrip"] = true;
  EXPECT_EQ(load_text(file.dump()).encode("<t> \na", false), (Ids{1, 0}));
  EXPECT_EQ(load_text(file.dump()).encode("a \na", false), (Ids{0, 2, 0}));
}

TEST(AddedTokens, TheLongestOfThoseThatStartFirst) {
  Json file = plain_tokenizer({"a", "b"});
  file["added_tokens"] =
      Json::array({added_token(2, "<a"), added_token(3, "<a>b"), added_token(4, ">b>")});
  EXPECT_EQ(load_text(file.dump()).encode("<a>b>", false), (Ids{3}));  // ">" is unknown: dropped
  EXPECT_EQ(load_text(file.dump()).encode("<ab<a", false), (Ids{2, 1, 2}));
}

TEST(AddedTokens, NormalizedOnesAreSoughtInNormalizedText) {
  Json file = plain_tokenizer({"a", "é"});
  file["normalizer"] = {{"type", "NFC"}};
  Json token = added_token(2, "aé");
  file["added_tokens"] = Json::array({token});
  EXPECT_EQ(load_text(file.dump()).encode("ae\u0301", false), (Ids{0, 1}));
  file["added_tokens"][0]["normalized"] = true;
  EXPECT_EQ(load_text(file.dump()).encode("ae\u0301", false), (Ids{2}));
}

TEST(Decoder, NoneJoinsWithSpaces) {
  Json file = plain_tokenizer({"a", "b"});
  file["decoder"] = nullptr;
  EXPECT_EQ(load_text(file.dump()).decode(Ids{0, 1, 1}, false), "a b b");
}

TEST(Decoder, ByteFallbackStripAndReplace) {
  Json file = plain_tokenizer({"▁a", "▁", "<0xE2>", "<0x82>", "<0xAC>", "b"});
  file["decoder"] = {{"type", "Sequence"},
                     {"decoders",
                      {{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}},
                       {{"type", "ByteFallback"}},
                       {{"type", "Fuse"}},
                       {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 1}}}}};
  const Tokenizer tokenizer = load_text(file.dump());
  EXPECT_EQ(tokenizer.decode(Ids{0, 2, 3, 4, 0}, false), "a€ a");
  EXPECT_EQ(tokenizer.decode(Ids{1, 0, 1, 1}, false), " a ");
  EXPECT_EQ(tokenizer.decode(Ids{2, 3, 5}, false), "\uFFFD\uFFFDb");
  EXPECT_EQ(tokenizer.decode(Ids{2, 3, 4, 2}, false), "\uFFFD\uFFFD\uFFFD\uFFFD");
}

TEST(Decoder, StripTakesFromEveryToken) {
  Json file = plain_tokenizer({"__a_", "_", "b"});
  file["decoder"] = {{"type", "Strip"}, {"content", "_"}, {"start", 1}, {"stop", 2}};
  EXPECT_EQ(load_text(file.dump()).decode(Ids{0, 1, 2, 0}, false), "_ab_a");
}

TEST(Decoder, Metaspace) {
  Json file = plain_tokenizer({"▁a", "▁▁b"});
  file["decoder"] = {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "always"}};
  EXPECT_EQ(load_text(file.dump()).decode(Ids{0, 1, 0}, false), "a  b a");
  EXPECT_EQ(load_text(file.dump()).decode(Ids{1, 0}, false), "b a");
  file["decoder"]["prepend_scheme"] = "never";
  EXPECT_EQ(load_text(file.dump()).decode(Ids{0, 1}, false), " a  b");
}

// Random ids make byte sequences that no text gives.
TEST(StreamingDecoder, EqualsDecodeForRandomIds) {
  SKIP_WITHOUT_ASSETS();
  std::mt19937 random(5);
  for (const char* name : {"bbpe-1k", "sp-bpe-1k", "sp-bpe-1k-legacy", "llama3-style-1k"}) {
    const Tokenizer tokenizer = asset_tokenizer(name);
    StreamingDecoder stream(tokenizer, false);
    for (int round = 0; round < 300; ++round) {
      // The first 300 ids hold the bytes; the last ones are no tokens.
      const int32_t bound = round % 2 ? 300 : tokenizer.vocab_size() + 5;
      Ids ids(random() % 20);
      for (int32_t& id : ids) id = static_cast<int32_t>(random() % static_cast<uint32_t>(bound));
      std::string text;
      for (const int32_t id : ids) {
        const std::string part = stream.push(id);
        ASSERT_EQ(valid_utf8_prefix(part), part.size());
        text += part;
      }
      text += stream.finish();
      ASSERT_EQ(text, tokenizer.decode(ids, false)) << name << " " << Json(ids);
    }
  }
}

TEST(StreamingDecoder, WaitsForWholeCharacters) {
  SKIP_WITHOUT_ASSETS();
  const Tokenizer tokenizer = asset_tokenizer("bbpe-1k");
  const Ids ids = tokenizer.encode("Ω!", false);
  ASSERT_EQ(ids.size(), 3u);
  StreamingDecoder stream(tokenizer, false);
  EXPECT_EQ(stream.push(ids[0]), "");
  EXPECT_EQ(stream.push(ids[1]), "Ω");
  EXPECT_EQ(stream.push(ids[2]), "!");
  EXPECT_EQ(stream.push(ids[0]), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.push(ids[2]), "!");  // a new text
}

TEST(Tokenizer, Facts) {
  SKIP_WITHOUT_ASSETS();
  const Tokenizer tokenizer = asset_tokenizer("qwen2.5");
  EXPECT_EQ(tokenizer.vocab_size(), 151665);
  EXPECT_EQ(tokenizer.token_to_id("<|im_end|>"), 151645);
  EXPECT_EQ(tokenizer.token_to_id("Ġthe"), 279);
  EXPECT_EQ(tokenizer.token_to_id("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer.id_to_token(279), "Ġthe");
  EXPECT_EQ(tokenizer.id_to_token(151665), std::nullopt);
  EXPECT_EQ(tokenizer.id_to_token(-1), std::nullopt);
  EXPECT_TRUE(tokenizer.is_special(151645));
  EXPECT_FALSE(tokenizer.is_special(151657) || tokenizer.is_special(279));  // <tool_call>
  // Models have more rows than the tokenizer has tokens: such ids give no text.
  EXPECT_EQ(tokenizer.decode(Ids{279, 151900, -5, 279}, false), " the the");
}

TEST(Tokenizer, LoadsTheModelsOfTheAssets) {
  SKIP_WITHOUT_ASSETS();
  const Tokenizer digits = Tokenizer::load(kAssets + "/models/verl-arith-seq-llama");
  EXPECT_EQ(digits.encode("3,4:P?", true), (Ids{7, 14, 8, 15, 2, 3, 0}));
  EXPECT_EQ(digits.decode(Ids{7, 14, 8, 1}, true), "3,4");
  const Tokenizer stories = Tokenizer::load(kAssets + "/models/tinystories-656k");
  const std::string text = "Once upon a time, there was a  little dog.";
  EXPECT_EQ(stories.encode(text, true)[0], 1);
  EXPECT_EQ(stories.decode(stories.encode(text, false), true), text);
  // Its special tokens are "normalized": the normalizer puts "▁" in front, and then the
  // `tokenizers` library neither finds them after a letter nor leaves them out.
  EXPECT_EQ(stories.decode(Ids{1, 2}, true), "<|start_story|> <|end_story|>");
  EXPECT_TRUE(stories.is_special(2));
}

TEST(Tokenizer, NamesTheByteThatIsNoUtf8) {
  const Tokenizer tokenizer = load_text(plain_tokenizer({"a"}).dump());
  EXPECT_THAT(error_of([&] { tokenizer.encode("aaa\xE2\x82z", false); }),
              HasSubstr("not valid UTF-8 at byte 3 (0xE2)"));
  EXPECT_THAT(error_of([&] { tokenizer.encode("\xED\xA0\x80", false); }), HasSubstr("at byte 0"));
}

TEST(Tokenizer, ManyThreadsMayUseOne) {
  SKIP_WITHOUT_ASSETS();
  const Tokenizer tokenizer = asset_tokenizer("llama3-style-1k");
  const auto rows = read_rows(kAssets + "/tokenizers/expected-ids/generated_llama3-style-1k.jsonl");
  std::vector<size_t> wrong(4);
  std::vector<std::thread> threads;
  for (size_t& count : wrong) {
    threads.emplace_back([&] {
      for (const Json& row : rows) {
        const auto ids = row["ids"].get<Ids>();
        count += tokenizer.encode(row["text"].get<std::string>(), false) != ids;
        count += tokenizer.decode(ids, false) != row["decoded"].get<std::string>();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0u));
}

}  // namespace
}  // namespace treepo
