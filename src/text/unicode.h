#pragma once

#include <span>
#include <string>
#include <string_view>

namespace treepo {

// Unicode as the `tokenizers` library sees it, whatever version utf8proc and PCRE2 have here: ids
// must not depend on the machine. That library mixes versions: regular expressions of Unicode 16,
// numbers and lower case of Unicode 17, normalisation of Unicode 9.

bool is_white_space(char32_t c);  // property White_Space
// Where the white space that starts at `begin`, or ends at `end`, has its other end.
size_t skip_white_space(std::string_view valid, size_t begin);
size_t skip_white_space_back(std::string_view valid, size_t end);
bool is_number(char32_t c);                      // general category N*
bool is_word_character(char32_t c);              // \w of Unicode's regular expressions (UTS #18)
std::string lower_case(std::string_view valid);  // character by character, without context

enum class NormalForm { nfc, nfd, nfkc, nfkd };
std::string normalize(std::string_view valid, NormalForm form);

struct CategoryRange {
  char32_t first, last;
  char category[3];  // general category, "Lu"
};

// Characters younger than Unicode 14 (the oldest version that utf8proc and PCRE2 may have), with
// their general categories; sorted.
std::span<const CategoryRange> characters_after_unicode_14();

// Characters that Unicode 9 did not have and later versions decompose or reorder: normalisation
// leaves them alone.
bool is_inert_in_normalization(char32_t c);

}  // namespace treepo
