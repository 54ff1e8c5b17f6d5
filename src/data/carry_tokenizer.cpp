#include "base/json.h"
#include "data/carry_task.h"
#include "text/write_tokenizer.h"  // write_character_tokenizer

namespace treepo {

namespace {

constexpr std::string_view kSpecialTokens[] = {"<pad>", "<eos>", "<unk>"};
constexpr std::string_view kCharacters = "0123456789+-*=;:! /()";
static_assert(std::size(kSpecialTokens) + kCharacters.size() == kCarryVocabularySize);
static_assert(kSpecialTokens[kCarryPadId] == "<pad>" && kSpecialTokens[kCarryEosId] == "<eos>");

OrderedJson added_token(int64_t id, std::string_view content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

}  // namespace

void write_carry_tokenizer(const std::string& directory) {
  CharacterVocabulary vocabulary;
  vocabulary.special_tokens.assign(std::begin(kSpecialTokens), std::end(kSpecialTokens));
  vocabulary.characters = kCharacters;
  vocabulary.pad_token = "<pad>";
  vocabulary.eos_token = "<eos>";
  vocabulary.unk_token = "<unk>";
  write_character_tokenizer(directory, vocabulary);
}

// A BPE model without merges leaves every character a token of its own.
std::string carry_tokenizer_json() {
  OrderedJson added = OrderedJson::array(), vocabulary = OrderedJson::object();
  int64_t id = 0;
  for (const std::string_view token : kSpecialTokens) {
    added.push_back(added_token(id, token));
    vocabulary[std::string(token)] = id++;
  }
  for (const char c : kCharacters) vocabulary[std::string(1, c)] = id++;
  const OrderedJson model = {{"type", "BPE"},
                             {"dropout", nullptr},
                             {"unk_token", "<unk>"},
                             {"continuing_subword_prefix", nullptr},
                             {"end_of_word_suffix", nullptr},
                             {"fuse_unk", false},
                             {"byte_fallback", false},
                             {"ignore_merges", false},
                             {"vocab", vocabulary},
                             {"merges", OrderedJson::array()}};
  const OrderedJson tokenizer = {
      {"version", "1.0"},          {"truncation", nullptr},         {"padding", nullptr},
      {"added_tokens", added},     {"normalizer", nullptr},         {"pre_tokenizer", nullptr},
      {"post_processor", nullptr}, {"decoder", {{"type", "Fuse"}}}, {"model", model}};
  return tokenizer.dump(2) + "\n";
}

}  // namespace treepo
