#pragma once

#include <cstdint>
#include <vector>

#include "base/json.h"

namespace treepo {

// The "post_processor" of tokenizer.json: TemplateProcessing, ByteLevel (which concerns offsets
// only) and sequences of them.
class PostProcessor {
 public:
  PostProcessor() = default;  // adds nothing
  static PostProcessor from_json(const Json& file, const std::string& path);

  // The ids of one text in their template; its special tokens only if `add_special_tokens`.
  std::vector<int32_t> apply(std::vector<int32_t> ids, bool add_special_tokens) const;

 private:
  struct Slot {
    bool is_text;              // takes the ids of the text
    std::vector<int32_t> ids;  // of a special token
  };
  static Slot read_slot(const Json& piece, const Json& owner, const std::string& where);

  std::vector<Slot> template_;  // empty: the ids as they are
};

}  // namespace treepo
