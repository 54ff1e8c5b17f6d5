#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "text/normalizer.h"
#include "text/vocabulary.h"

namespace treepo {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool single_word = false;  // not inside a word
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // … and after it
  bool normalized = false;   // looked for in the normalised text, as `text`
  bool special = false;

  // What decode() gives: the content, normalised if `normalized`.
  std::string text;
  // Left out by decode(skip_special_tokens). The `tokenizers` library looks `text` up among the
  // contents of special tokens: one that normalisation changes is never left out.
  bool is_skipped = false;

  bool operator==(const AddedToken&) const = default;
};

// A stretch of text: either one added token or ordinary text.
struct Section {
  size_t begin, end;  // bytes
  int32_t id;         // kOrdinary for text
  static constexpr int32_t kOrdinary = -1;
};

// Finds the longest of many strings at a place of a text.
class StringFinder {
 public:
  void add(std::string_view content, size_t index);  // of equal contents the first stays

  struct Match {
    size_t begin, end;
    size_t index;
  };
  // The first place from `from` on where a string starts, and the longest one there.
  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  static constexpr size_t kNone = SIZE_MAX;
  static uint64_t edge(size_t node, char byte) {
    return static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(byte);
  }

  std::vector<size_t> index_of_node_ = {kNone};  // of a trie; 0 is the root
  std::unordered_map<uint64_t, size_t> children_;
  std::array<bool, 256> starts_{};  // bytes that a string begins with
};

// The "added_tokens" of tokenizer.json: tokens that are found in the text before anything else.
class AddedTokens {
 public:
  static AddedTokens from_json(const Json& file, const std::string& path,
                               const Vocabulary& vocabulary, const Normalizer& normalizer);

  // Cuts `text` at the tokens that are looked for in raw (normalized = false) or normalised text.
  // Sections of neighbouring tokens may overlap where one took white space (rstrip).
  std::vector<Section> split(std::string_view text, bool normalized) const;

  const AddedToken* find(int32_t id) const;  // null if none
  const AddedToken* find(std::string_view content) const;
  int32_t size() const;  // largest id + 1, 0 if there are none

 private:
  void add(AddedToken token, const Vocabulary& vocabulary, const std::string& where);
  void index_texts();

  std::vector<AddedToken> tokens_;
  std::unordered_map<int32_t, size_t> index_by_id_;
  std::unordered_map<std::string, size_t> index_by_content_;
  StringFinder raw_, normalized_;
};

}  // namespace treepo
