#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"

namespace treepo {

// A text cut into pieces that BPE encodes one by one.
struct PieceList {
  struct Piece {
    size_t begin, end;  // bytes of `text`; pieces are in order and never empty
    bool at_beginning;  // starts with the first character of the user's text
  };
  std::string text;  // valid UTF-8
  std::vector<Piece> pieces;
};

// The "pre_tokenizer" of tokenizer.json: ByteLevel, Split, Digits, Metaspace and sequences of them.
class PreTokenizer {
 public:
  PreTokenizer() = default;  // leaves the text in one piece
  static PreTokenizer from_json(const Json& file, const std::string& path);

  void apply(PieceList& list) const;

 private:
  std::vector<std::function<void(PieceList&)>> steps_;
};

}  // namespace treepo
