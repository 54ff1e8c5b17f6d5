#include "reward/boxed.h"

#include <algorithm>

namespace treepo {

namespace {

// The text in the braces that open at `at`, after white space; nullopt where none do, or they stay
// open.
std::optional<std::string_view> in_braces(std::string_view text, size_t at) {
  at = text.find_first_not_of(" \t\n", at);
  if (at == std::string_view::npos || text[at] != '{') return std::nullopt;
  int open = 0;
  for (size_t end = at; end < text.size(); ++end) {
    if (text[end] == '{') ++open;
    if (text[end] == '}' && --open == 0) return text.substr(at + 1, end - at - 1);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string_view> last_boxed(std::string_view text) {
  constexpr std::string_view kBoxed = "\\boxed", kFramed = "\\fbox";
  constexpr int kMostTries = 100;  // boxes that stay open: each costs a walk to the end
  size_t before = text.size();
  for (int tries = 0; tries < kMostTries; ++tries) {
    const size_t boxed = text.rfind(kBoxed, before), framed = text.rfind(kFramed, before);
    if (boxed == std::string_view::npos && framed == std::string_view::npos) return std::nullopt;
    const bool is_boxed =
        framed == std::string_view::npos || (boxed != std::string_view::npos && boxed > framed);
    const size_t at = is_boxed ? boxed : framed;
    if (const auto inside = in_braces(text, at + (is_boxed ? kBoxed : kFramed).size()))
      return inside;
    if (at == 0) return std::nullopt;
    before = at - 1;
  }
  return std::nullopt;
}

}  // namespace treepo
