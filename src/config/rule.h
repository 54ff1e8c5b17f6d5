#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace treepo {

// Throws "WHAT (KEY = VALUE, …)" where a rule is broken.
class Rule {
 public:
  Rule(bool holds, std::string_view what) : holds_(holds), what_(what) {}

  template <typename T>
  Rule& given(std::string_view key, const T& value) {
    if (!holds_) values_ += fmt::format("{}{} = {}", values_.empty() ? "" : ", ", key, value);
    return *this;
  }

  void or_else(const std::string& hint) const {
    if (!holds_) throw Error(fmt::format("{} ({})", what_, values_), hint);
  }

 private:
  bool holds_;
  std::string_view what_;
  std::string values_;
};

inline void require_distinct(std::string_view key, std::vector<std::string> texts) {
  std::ranges::sort(texts);
  const auto twice = std::ranges::adjacent_find(texts);
  if (twice != texts.end())
    throw Error(fmt::format("{} holds \"{}\" twice", key, *twice), "remove one of them");
}

}  // namespace treepo
