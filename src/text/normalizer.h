#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"

namespace treepo {

// A text on its way through the normalizer.
struct NormalizedText {
  std::string text;   // valid UTF-8
  bool at_beginning;  // its first character is still the first of the user's text (Metaspace
                      // "first")
};

// The "normalizer" of tokenizer.json: NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip and
// sequences of them.
class Normalizer {
 public:
  Normalizer() = default;  // changes nothing
  static Normalizer from_json(const Json& file, const std::string& path);

  void apply(NormalizedText& text) const;

 private:
  std::vector<std::function<void(NormalizedText&)>> steps_;
};

}  // namespace treepo
