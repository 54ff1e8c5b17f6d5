#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "support/assets.h"
#include "support/temporary_directory.h"
#include "text/tokenizer.h"

namespace treepo {

inline const std::string kAssets = TREEPO_ASSETS;

inline bool have_assets() {
  return std::filesystem::exists(kAssets + "/tokenizers");
}

#define SKIP_WITHOUT_ASSETS() \
  if (!have_assets()) GTEST_SKIP() << no_assets(kAssets)

inline Tokenizer asset_tokenizer(const std::string& name) {
  return Tokenizer::load(kAssets + "/tokenizers/" + name);
}

// The rows of a file of JSON lines, ended by "\n" alone.
inline std::vector<Json> read_rows(const std::string& path) {
  std::vector<Json> rows;
  JsonLineReader reader(path);
  for (Json row; reader.next(row);) rows.push_back(row);
  return rows;
}

inline Tokenizer load_text(const std::string& tokenizer_json) {
  const TemporaryDirectory directory;
  write_file_atomically(directory / "tokenizer.json", tokenizer_json);
  return Tokenizer::load(directory.path());
}

// A tokenizer.json without stages: the vocabulary is the given tokens, ids from 0; merges are tried
// in the given order.
inline Json plain_tokenizer(const std::vector<std::string>& tokens,
                            const std::vector<std::string>& merges = {}) {
  Json vocab = Json::object();
  for (size_t id = 0; id < tokens.size(); ++id) vocab[tokens[id]] = id;
  return {{"added_tokens", Json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", nullptr},
          {"post_processor", nullptr},
          {"decoder", {{"type", "Fuse"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}};
}

inline Json added_token(int id, const std::string& content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", false}};
}

// The texts of the tokens that `text` is encoded to.
inline std::vector<std::string> tokens_of(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<std::string> tokens;
  for (const int32_t id : tokenizer.encode(text, false)) {
    tokens.push_back(tokenizer.id_to_token(id).value());
  }
  return tokens;
}

}  // namespace treepo
