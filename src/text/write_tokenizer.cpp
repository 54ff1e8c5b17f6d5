#include "text/write_tokenizer.h"

#include <algorithm>

#include "base/files.h"
#include "base/json.h"
#include "text/utf8.h"

namespace treepo {

namespace {

// Tokens in the order of their ids.
std::vector<std::string> list_tokens(const CharacterVocabulary& vocabulary) {
  const std::string& characters = vocabulary.characters;
  TREEPO_CHECK(valid_utf8_prefix(characters) == characters.size(), "characters are not UTF-8");
  std::vector<std::string> tokens = vocabulary.special_tokens;
  for (size_t begin = 0; begin < characters.size();) {
    const size_t length = scan_utf8(std::string_view(characters).substr(begin)).length;
    tokens.push_back(characters.substr(begin, length));
    begin += length;
  }
  std::vector<std::string> sorted = tokens;
  std::sort(sorted.begin(), sorted.end());
  const auto twin = std::adjacent_find(sorted.begin(), sorted.end());
  TREEPO_CHECK(twin == sorted.end(), "\"{}\" is in the vocabulary twice", *twin);
  return tokens;
}

size_t special_id(const CharacterVocabulary& vocabulary, const std::string& token) {
  const auto& all = vocabulary.special_tokens;
  const auto found = std::find(all.begin(), all.end(), token);
  TREEPO_CHECK(found != all.end(), "\"{}\" is not among the special tokens", token);
  return static_cast<size_t>(found - all.begin());
}

OrderedJson added_token(const std::string& content, size_t id) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

OrderedJson special_piece(const std::string& token) {
  return {{"SpecialToken", {{"id", token}, {"type_id", 0}}}};
}

OrderedJson sequence_piece(const std::string& name, int type_id) {
  return {{"Sequence", {{"id", name}, {"type_id", type_id}}}};
}

OrderedJson post_processor(const CharacterVocabulary& vocabulary) {
  if (vocabulary.prefix.empty() && vocabulary.suffix.empty()) return nullptr;
  OrderedJson single = OrderedJson::array();
  OrderedJson used = OrderedJson::object();
  const auto add = [&](const std::vector<std::string>& tokens) {
    for (const std::string& token : tokens) {
      const size_t id = special_id(vocabulary, token);
      single.push_back(special_piece(token));
      used[token] = {{"id", token},
                     {"ids", OrderedJson::array({id})},
                     {"tokens", OrderedJson::array({token})}};
    }
  };
  add(vocabulary.prefix);
  single.push_back(sequence_piece("A", 0));
  add(vocabulary.suffix);
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", OrderedJson::array({sequence_piece("A", 0), sequence_piece("B", 1)})},
          {"special_tokens", used}};
}

OrderedJson or_null(const std::optional<std::string>& text) {
  return text ? OrderedJson(*text) : OrderedJson(nullptr);
}

OrderedJson tokenizer_json(const CharacterVocabulary& vocabulary) {
  const std::vector<std::string> tokens = list_tokens(vocabulary);
  OrderedJson added = OrderedJson::array();
  for (size_t id = 0; id < vocabulary.special_tokens.size(); ++id) {
    added.push_back(added_token(tokens[id], id));
  }
  OrderedJson ids = OrderedJson::object();
  for (size_t id = 0; id < tokens.size(); ++id) ids[tokens[id]] = id;
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", nullptr},
          {"post_processor", post_processor(vocabulary)},
          {"decoder", {{"type", "Fuse"}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", or_null(vocabulary.unk_token)},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", ids},
            {"merges", OrderedJson::array()}}}};
}

OrderedJson tokenizer_config(const CharacterVocabulary& vocabulary) {
  OrderedJson config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                        {"clean_up_tokenization_spaces", false}};
  const auto add = [&](const char* role, const std::optional<std::string>& token) {
    if (!token) return;
    special_id(vocabulary, *token);
    config[role] = *token;
  };
  add("bos_token", vocabulary.bos_token);
  add("eos_token", vocabulary.eos_token);
  add("pad_token", vocabulary.pad_token);
  add("unk_token", vocabulary.unk_token);
  return config;
}

}  // namespace

void write_character_tokenizer(const std::string& directory,
                               const CharacterVocabulary& vocabulary) {
  write_file_atomically(join_path(directory, "tokenizer.json"),
                        tokenizer_json(vocabulary).dump(2) + "\n");
  write_file_atomically(join_path(directory, "tokenizer_config.json"),
                        tokenizer_config(vocabulary).dump(2) + "\n");
}

}  // namespace treepo
