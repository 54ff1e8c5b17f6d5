#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "text/utf8.h"

namespace treepo {

namespace {

// First letter of the general category: 'L', 'M', 'N'…; second letter: 'u', 'd'…
std::string_view category_of(char32_t c) {
  const auto ranges = characters_after_unicode_14();
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), c,
                       [](char32_t x, const CategoryRange& range) { return x < range.first; });
  if (after != ranges.begin() && c <= std::prev(after)->last) return std::prev(after)->category;
  return utf8proc_category_string(static_cast<utf8proc_int32_t>(c));
}

// What the property Alphabetic adds to letters, marks and numerals.
bool is_circled_letter(char32_t c) {
  return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
         (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

// Pairs of capital and small letters that came with Unicode 15 to 17, or have got their partner
// there: `first`…`last` and the distance to the small letters.
struct CasePairs {
  char32_t first, last;
  int32_t distance;
};
constexpr CasePairs kYoungCapitals[] = {
    {0x1C89, 0x1C89, 1},      {0xA7CB, 0xA7CB, 0x264 - 0xA7CB},
    {0xA7CC, 0xA7CC, 1},      {0xA7CE, 0xA7CE, 1},
    {0xA7D2, 0xA7D2, 1},      {0xA7D4, 0xA7D4, 1},
    {0xA7DA, 0xA7DA, 1},      {0xA7DC, 0xA7DC, 0x19B - 0xA7DC},
    {0x10D50, 0x10D65, 0x20}, {0x16EA0, 0x16EB8, 0x1B},
};

int32_t small_letter(char32_t c) {
  for (const CasePairs& pairs : kYoungCapitals) {
    if (c >= pairs.first && c <= pairs.last) return static_cast<int32_t>(c) + pairs.distance;
  }
  return utf8proc_tolower(static_cast<utf8proc_int32_t>(c));
}

int combining_class(int32_t c) {
  return is_inert_in_normalization(static_cast<char32_t>(c))
             ? 0
             : utf8proc_get_property(c)->combining_class;
}

void append_decomposed(char32_t c, utf8proc_option_t options, std::vector<int32_t>& out) {
  if (c < 0x80 || is_inert_in_normalization(c)) {
    out.push_back(static_cast<int32_t>(c));
    return;
  }
  constexpr size_t kLongest = 18;  // of a character's decomposition (U+FDFA)
  const size_t begin = out.size();
  out.resize(begin + kLongest);
  int boundary = 0;
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), &out[begin],
                                             kLongest, options, &boundary);
  TREEPO_CHECK(count >= 0 && count <= static_cast<utf8proc_ssize_t>(kLongest),
               "decomposition of U+{:04X}: {}", static_cast<uint32_t>(c), count);
  out.resize(begin + static_cast<size_t>(count));
}

// Canonical ordering: every run of combining marks is sorted by class, stably.
void order_marks(std::vector<int32_t>& chars) {
  std::vector<std::pair<int, int32_t>> marks;
  for (size_t i = 0; i < chars.size();) {
    marks.clear();
    size_t end = i;
    for (; end < chars.size() && chars[end] >= 0x300; ++end) {
      const int mark_class = combining_class(chars[end]);
      if (mark_class == 0) break;
      marks.emplace_back(mark_class, chars[end]);
    }
    std::stable_sort(marks.begin(), marks.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& mark : marks) chars[i++] = mark.second;
    ++i;  // the starter that ended the run
  }
}

// Canonical composition, in the stretches between inert characters.
void compose(std::vector<int32_t>& chars) {
  constexpr auto kOptions = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  size_t written = 0;
  for (size_t begin = 0; begin < chars.size();) {
    size_t end = begin;
    while (end < chars.size() && !is_inert_in_normalization(static_cast<char32_t>(chars[end]))) {
      ++end;
    }
    const auto length = static_cast<utf8proc_ssize_t>(end - begin);
    const auto kept = length ? utf8proc_normalize_utf32(&chars[begin], length, kOptions) : 0;
    std::copy_n(chars.begin() + static_cast<ptrdiff_t>(begin), kept,
                chars.begin() + static_cast<ptrdiff_t>(written));
    written += static_cast<size_t>(kept);
    if (end < chars.size()) chars[written++] = chars[end++];
    begin = end;
  }
  chars.resize(written);
}

// Characters below this bound are their own normal form, whatever stands around them.
unsigned char first_affected_lead_byte(NormalForm form) {
  return form == NormalForm::nfc ? 0xCC : 0x80;  // 0xCC leads U+0300…
}

}  // namespace

bool is_white_space(char32_t c) {
  return (c >= 0x9 && c <= 0xD) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

size_t skip_white_space(std::string_view valid, size_t begin) {
  while (begin < valid.size()) {
    size_t offset = begin;
    if (!is_white_space(next_code_point(valid, offset))) break;
    begin = offset;
  }
  return begin;
}

size_t skip_white_space_back(std::string_view valid, size_t end) {
  while (end > 0) {
    const size_t begin = previous_character(valid, end);
    size_t offset = begin;
    if (!is_white_space(next_code_point(valid, offset))) break;
    end = begin;
  }
  return end;
}

bool is_number(char32_t c) {
  const bool is_young = (c >= 0x11DE0 && c <= 0x11DE9) || (c >= 0x16FF4 && c <= 0x16FF6);
  return category_of(c)[0] == 'N' || is_young;  // young: of Unicode 17
}

bool is_word_character(char32_t c) {
  const std::string_view category = category_of(c);
  return category[0] == 'L' || category[0] == 'M' || category == "Nd" || category == "Nl" ||
         category == "Pc" || c == 0x200C || c == 0x200D || is_circled_letter(c);
}

std::string lower_case(std::string_view valid) {
  std::string out;
  for (size_t offset = 0; offset < valid.size();) {
    const char32_t c = next_code_point(valid, offset);
    append_utf8(static_cast<char32_t>(small_letter(c)), out);
    if (c == 0x130) append_utf8(0x307, out);  // the one character whose lower case is two
  }
  return out;
}

std::string normalize(std::string_view valid, NormalForm form) {
  const unsigned char bound = first_affected_lead_byte(form);
  const auto is_plain = [&](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0xC0 ? bound > 0x80 || byte < 0x80 : byte < bound;
  };
  if (std::all_of(valid.begin(), valid.end(), is_plain)) return std::string(valid);

  const bool compatible = form == NormalForm::nfkc || form == NormalForm::nfkd;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                                      (compatible ? UTF8PROC_COMPAT : 0));
  std::vector<int32_t> chars;
  chars.reserve(valid.size());
  for (size_t offset = 0; offset < valid.size();) {
    append_decomposed(next_code_point(valid, offset), options, chars);
  }
  order_marks(chars);
  if (form == NormalForm::nfc || form == NormalForm::nfkc) compose(chars);

  std::string out;
  out.reserve(valid.size());
  for (const int32_t c : chars) append_utf8(static_cast<char32_t>(c), out);
  return out;
}

}  // namespace treepo
