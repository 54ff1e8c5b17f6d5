#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/merge_table.h"
#include "text/vocabulary.h"

namespace treepo {

// Byte-pair encoding, the "model" of tokenizer.json. A piece becomes the tokens of its characters;
// then, as long as there is one, the neighbouring pair whose merge has the lowest rank (the
// leftmost of equals) is joined.
class Bpe {
 public:
  static Bpe from_json(const Json& file, const std::string& path);

  // Appends the ids of one piece (valid UTF-8).
  void encode(std::string_view piece, std::vector<int32_t>& ids) const;

  const Vocabulary& vocabulary() const { return *vocabulary_; }

 private:
  Bpe(std::shared_ptr<const Vocabulary> vocabulary, MergeTable merges);

  void append_characters(std::string_view piece, std::vector<int32_t>& ids) const;
  int32_t character_id(char32_t c, std::string_view character) const;  // -1: not in the vocabulary
  bool append_bytes(std::string_view character, std::vector<int32_t>& ids) const;
  int32_t unknown_id(std::string_view character) const;

  std::shared_ptr<const Vocabulary> vocabulary_;
  MergeTable merges_;
  std::vector<int32_t> basic_ids_;      // of the characters below U+10000, -1 for none
  std::array<int32_t, 256> byte_ids_;   // of "<0x00>"…"<0xFF>", -1 for none
  std::optional<std::string> unknown_;  // "unk_token"
  bool fuse_unknown_ = false;           // neighbouring unknown characters give one unk_token
  bool byte_fallback_ = false;          // an unknown character gives the tokens of its bytes
  bool ignore_merges_ = false;          // a piece that is a token is that token
};

// What encode() does to the characters' ids, in place. Short pieces are scanned again for each
// merge; long ones use a heap over a linked list: O(n log n).
void merge_by_scanning(const MergeTable& merges, std::vector<int32_t>& ids, size_t begin);
void merge_by_heap(const MergeTable& merges, std::vector<int32_t>& ids, size_t begin);

}  // namespace treepo
