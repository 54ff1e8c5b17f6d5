#pragma once

#include <optional>
#include <string>
#include <vector>

namespace treepo {

// A vocabulary of single characters, for tasks that bring their own alphabet.
//   special_tokens {"<pad>", "<eos>"}, characters "0123+="  ->  <pad> 0, <eos> 1, "0" 2, … "=" 7
struct CharacterVocabulary {
  std::vector<std::string> special_tokens;  // ids from 0
  std::string characters;                   // UTF-8, each once; ids go on in this order
  std::vector<std::string> prefix, suffix;  // special tokens that "with special tokens" adds
  // Special tokens by their role, for transformers.
  std::optional<std::string> bos_token, eos_token, pad_token;
  std::optional<std::string> unk_token;  // stands for every other character; else they are dropped
};

// Writes tokenizer.json and tokenizer_config.json into an existing directory: Tokenizer::load, the
// `tokenizers` library and transformers' AutoTokenizer read them.
void write_character_tokenizer(const std::string& directory, const CharacterVocabulary& vocabulary);

}  // namespace treepo
