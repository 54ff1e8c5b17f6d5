#include "text/bpe.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "text/tokenizer_support.h"

namespace treepo {
namespace {

using Ids = std::vector<int32_t>;

struct RandomModel {
  std::vector<std::string> tokens;
  std::vector<std::pair<std::string, std::string>> merges;  // by rank
};

RandomModel random_model(std::mt19937& random) {
  RandomModel model;
  model.tokens = {"a", "b", "c", "é"};
  for (int i = 0; i < 25; ++i) {
    const std::string left = model.tokens[random() % model.tokens.size()];
    const std::string right = model.tokens[random() % model.tokens.size()];
    // A token may be reached by several merges; a pair has one.
    if (std::find(model.merges.begin(), model.merges.end(), std::pair(left, right)) !=
        model.merges.end()) {
      continue;
    }
    model.merges.emplace_back(left, right);
    const std::string joined = left + right;
    if (std::find(model.tokens.begin(), model.tokens.end(), joined) == model.tokens.end()) {
      model.tokens.push_back(joined);
    }
  }
  return model;
}

// The definition of BPE on strings: find the best pair, join it, start again.
std::vector<std::string> encode_slowly(const RandomModel& model, std::vector<std::string> tokens) {
  while (true) {
    size_t best_rank = model.merges.size(), best = 0;
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      for (size_t rank = 0; rank < best_rank; ++rank) {
        if (model.merges[rank] == std::pair(tokens[i], tokens[i + 1])) {
          best_rank = rank;
          best = i;
        }
      }
    }
    if (best_rank == model.merges.size()) return tokens;
    tokens[best] += tokens[best + 1];
    tokens.erase(tokens.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
}

TEST(Bpe, BothWaysOfMergingEqualTheDefinition) {
  std::mt19937 random(3);
  for (int round = 0; round < 400; ++round) {
    const RandomModel model = random_model(random);
    std::map<std::string, int32_t> id_of;
    for (const auto& token : model.tokens) id_of.emplace(token, static_cast<int32_t>(id_of.size()));
    MergeTable table(model.merges.size());
    for (size_t rank = 0; rank < model.merges.size(); ++rank) {
      const auto& [left, right] = model.merges[rank];
      table.insert({.left = id_of[left],
                    .right = id_of[right],
                    .rank = static_cast<uint32_t>(rank),
                    .joined = id_of[left + right]});
    }
    std::vector<std::string> characters(random() % 40);
    for (auto& c : characters) c = model.tokens[random() % 4];
    Ids expected = {-7};  // what stood in the output before must stay
    Ids scanned = {-7};
    for (const auto& token : encode_slowly(model, characters)) expected.push_back(id_of[token]);
    for (const auto& c : characters) scanned.push_back(id_of[c]);
    Ids heaped = scanned;
    merge_by_scanning(table, scanned, 1);
    merge_by_heap(table, heaped, 1);
    ASSERT_EQ(scanned, expected);
    ASSERT_EQ(heaped, expected);
  }
}

TEST(Bpe, RanksDecideAndTheLeftmostOfEqualsGoesFirst) {
  const Tokenizer tokenizer =
      load_text(plain_tokenizer({"a", "b", "aa", "ab", "aab"}, {"a a", "a b", "a ab"}).dump());
  EXPECT_EQ(tokens_of(tokenizer, "aaa"), (std::vector<std::string>{"aa", "a"}));
  EXPECT_EQ(tokens_of(tokenizer, "aab"), (std::vector<std::string>{"aa", "b"}));
  EXPECT_EQ(tokens_of(tokenizer, "ab"), (std::vector<std::string>{"ab"}));
}

TEST(Bpe, IgnoreMergesTakesWholePieces) {
  Json file = plain_tokenizer({"a", "b", "c", "abc"});
  EXPECT_EQ(tokens_of(load_text(file.dump()), "abc"), (std::vector<std::string>{"a", "b", "c"}));
  file["model"]["ignore_merges"] = true;
  EXPECT_EQ(tokens_of(load_text(file.dump()), "abc"), (std::vector<std::string>{"abc"}));
}

TEST(Bpe, UnknownCharacters) {
  Json file = plain_tokenizer({"<unk>", "a", "<0xC3>", "<0xA9>"});
  const std::string text = "aéßßa";
  EXPECT_EQ(load_text(file.dump()).encode(text, false), (Ids{1, 1}));  // dropped
  file["model"]["unk_token"] = "<unk>";
  EXPECT_EQ(load_text(file.dump()).encode(text, false), (Ids{1, 0, 0, 0, 1}));
  file["model"]["fuse_unk"] = true;
  EXPECT_EQ(load_text(file.dump()).encode(text, false), (Ids{1, 0, 1}));
  file["model"]["byte_fallback"] = true;  // é has its bytes in the vocabulary, ß has not
  EXPECT_EQ(load_text(file.dump()).encode(text, false), (Ids{1, 2, 3, 0, 1}));
}

// A word of a megabyte: n log n, not n².
TEST(Bpe, LongWord) {
  SKIP_WITHOUT_ASSETS();
  const Tokenizer tokenizer = asset_tokenizer("bbpe-1k");
  std::mt19937 random(1);
  std::string word;
  for (int i = 0; i < 1'000'000; ++i) word += static_cast<char>('a' + random() % 26);
  const Ids ids = tokenizer.encode(word, false);
  EXPECT_GT(ids.size(), 100'000u);
  EXPECT_EQ(tokenizer.decode(ids, false), word);
}

}  // namespace
}  // namespace treepo
