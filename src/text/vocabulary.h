#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace treepo {

// Tokens and their ids, both ways. Ids may have gaps.
class Vocabulary {
 public:
  // object: {"token": id, …}; `where` names it in errors.
  Vocabulary(const Json& object, const std::string& where);

  std::optional<int32_t> find(std::string_view token) const;
  std::string_view token(int32_t id) const;  // empty for an id that no token has
  bool has_id(int32_t id) const;

  size_t count() const { return count_; }                                // of tokens
  int32_t size() const { return static_cast<int32_t>(places_.size()); }  // largest id + 1

 private:
  struct Place {
    uint32_t begin = 0, length = kNone;  // bytes of text_
  };
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Slot {
    uint32_t hash = 0;
    int32_t id = -1;  // -1: free
  };

  void add(const std::string& token, int32_t id, const std::string& where);
  // The token's slot, or the free one where it belongs.
  size_t slot_of(std::string_view token, uint32_t hash) const;

  std::string text_;  // all tokens, one after the other
  std::vector<Place> places_;
  std::vector<Slot> slots_;  // open addressing; a power of two, at most half of them taken
  size_t count_;
};

}  // namespace treepo
