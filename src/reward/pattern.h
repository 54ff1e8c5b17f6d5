#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace treepo {

// A regular expression of PCRE2 over responses: UTF-8, a dot matches newlines, ^ and $ are the
// whole response's ends. Safe for concurrent use.
class ResponsePattern {
 public:
  // Throws Error, quoting the pattern and `where` it was written, if it can't be compiled.
  ResponsePattern(std::string_view pattern, const std::string& where);

  // Whether it is found; nullopt where the search gives up (a pattern that backtracks without end).
  std::optional<bool> is_in(std::string_view text) const;

  // Group 1 of the last match, nullopt where there is none.
  std::optional<std::string_view> last_group(std::string_view text) const;

 private:
  std::shared_ptr<const void> code_;
};

}  // namespace treepo
