#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace treepo {

// A stretch of bytes [begin, end).
struct TextSpan {
  size_t begin, end;
};

// A regular expression of tokenizer.json: Oniguruma's Ruby syntax, run by PCRE2. What the two read
// differently is rewritten, or refused (regex_syntax.h). Safe for concurrent use.
class Regex {
 public:
  // `where` names the pattern in errors.
  Regex(std::string_view pattern, const std::string& where);

  // All matches in `text` (valid UTF-8), in order, none overlapping; an empty match never touches
  // the match before it.
  void find_all(std::string_view text, std::vector<TextSpan>& matches) const;

 private:
  std::shared_ptr<const void> code_;
};

// The "pattern" of a Split or Replace: {"String": "…"} or {"Regex": "…"}.
class Pattern {
 public:
  static Pattern from_json(const Json& parent, const std::string& where);

  void find_all(std::string_view text, std::vector<TextSpan>& matches) const;
  bool is_one_character() const;  // a String of one code point

 private:
  std::string literal_;
  std::optional<Regex> regex_;
};

// `text` with every match of `pattern` replaced by `content`, taken literally.
std::string replace_all(std::string_view text, const Pattern& pattern, std::string_view content);

}  // namespace treepo
