#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"

namespace treepo {

// Tokens and their ids, both ways. Ids may have gaps.
class Vocabulary {
 public:
  // object: {"token": id, …}; `where` names it in errors.
  Vocabulary(const Json& object, const std::string& where);
  Vocabulary(const Vocabulary&) = delete;  // ids_ points into text_
  Vocabulary& operator=(const Vocabulary&) = delete;

  std::optional<int32_t> find(std::string_view token) const;
  std::string_view token(int32_t id) const;  // empty for an id that no token has
  bool has_id(int32_t id) const;

  size_t count() const { return ids_.size(); }                           // of tokens
  int32_t size() const { return static_cast<int32_t>(places_.size()); }  // largest id + 1

 private:
  struct Place {
    uint32_t begin = 0, length = kNone;  // bytes of text_
  };
  static constexpr uint32_t kNone = UINT32_MAX;

  std::string text_;  // all tokens, one after the other
  std::vector<Place> places_;
  std::unordered_map<std::string_view, int32_t> ids_;
};

}  // namespace treepo
