#include "text/regex_syntax.h"

#include "base/error.h"
#include "text/unicode.h"

namespace treepo {

namespace {

// Contents of bracket classes. PCRE2's own \s has U+180E, its \w differs in marks and numerals.
constexpr std::string_view kSpace =
    "\\t-\\r\\x20\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{"
    "3000}";
constexpr std::string_view kNotSpace =
    "\\x00-\\x08\\x0E-\\x1F\\x21-\\x{84}\\x{86}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}"
    "\\x{200B}-\\x{2027}\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}"
    "\\x{3001}-\\x{10FFFF}";
// Oniguruma counts Latin-1's superscript digits and fractions as word characters.
constexpr std::string_view kWordExtras =
    "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}"
    "\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}";

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// Contents of a bracket class for a general category ("L", "Nd"), of any Unicode version up to 16.
std::string category_class(std::string_view category) {
  std::string out = fmt::format("\\p{{{}}}", category);
  for (const CategoryRange& range : characters_after_unicode_14()) {
    if (std::string_view(range.category).starts_with(category)) {
      out += fmt::format("\\x{{{:X}}}-\\x{{{:X}}}", static_cast<uint32_t>(range.first),
                         static_cast<uint32_t>(range.last));
    }
  }
  return out;
}

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where)
      : pattern_(pattern), where_(where) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      if (in_class_) {
        class_member();
      } else {
        element();
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(size_t length) const {
    throw Error(
        fmt::format("{}: unsupported part \"{}\" at byte {} of the regular expression \"{}\"",
                    where_, pattern_.substr(at_, length), at_, pattern_));
  }

  std::string_view rest() const { return pattern_.substr(at_); }

  void copy(size_t length) {
    out_ += pattern_.substr(at_, length);
    at_ += length;
  }

  void emit(std::string_view text, size_t consumed) {
    out_ += text;
    at_ += consumed;
  }

  void element() {
    switch (pattern_[at_]) {
      case '\\':
        return escape();
      case '[':
        return open_class();
      case '(':
        return open_group();
      case '{':
        return interval();
      default:
        return copy(1);
    }
  }

  void open_class() {
    in_class_ = true;
    copy(rest().starts_with("[^") ? 2 : 1);
    if (rest().starts_with("]")) refuse(1);
  }

  void class_member() {
    if (pattern_[at_] == '[') refuse(1);  // nested or POSIX
    if (rest().starts_with("&&")) refuse(2);
    if (pattern_[at_] == '\\') return escape();
    if (pattern_[at_] == ']') in_class_ = false;
    copy(1);
  }

  void open_group() {
    if (rest().starts_with("(*")) refuse(2);
    if (!rest().starts_with("(?")) return copy(1);
    for (const std::string_view known : {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:"}) {
      if (rest().starts_with(known)) return copy(known.size());
    }
    if (at_ == 0 && rest().starts_with("(?i)")) return copy(4);
    refuse(4);
  }

  // "{n}", "{n,}", "{n,m}", or a literal brace. Ruby repeats what PCRE2 makes possessive: "{1,3}+".
  void interval() {
    size_t i = at_ + 1;
    const auto digits = [&] {
      const size_t begin = i;
      while (i < pattern_.size() && pattern_[i] >= '0' && pattern_[i] <= '9') ++i;
      return i > begin;
    };
    const bool has_minimum = digits();
    const bool has_comma = i < pattern_.size() && pattern_[i] == ',';
    if (has_comma) ++i;
    const bool has_maximum = digits();
    const bool closed = i < pattern_.size() && pattern_[i] == '}';
    if (!closed || (!has_minimum && !has_maximum)) return copy(1);
    const size_t length = i + 1 - at_;
    const char follows = i + 1 < pattern_.size() ? pattern_[i + 1] : '\0';
    if (!has_minimum || follows == '+' || (follows == '?' && !has_comma)) refuse(length + 1);
    copy(length);
  }

  // A set written outside a bracket class needs its own brackets.
  void emit_set(std::string_view contents, bool negated, size_t consumed) {
    if (in_class_ && negated) refuse(consumed);
    if (in_class_) return emit(contents, consumed);
    emit(fmt::format("[{}{}]", negated ? "^" : "", contents), consumed);
  }

  void escape() {
    if (at_ + 1 == pattern_.size()) refuse(1);
    const char kind = pattern_[at_ + 1];
    switch (kind) {
      case 's':
        return emit_set(kSpace, false, 2);
      case 'S':
        return emit_set(kNotSpace, false, 2);
      case 'w':
      case 'W':
        return emit_set(category_class("L") + category_class("M") + category_class("Nd") +
                            category_class("Nl") + category_class("Pc") + std::string(kWordExtras),
                        kind == 'W', 2);
      case 'd':
      case 'D':
        return emit_set(category_class("Nd"), kind == 'D', 2);
      case 'h':
      case 'H':
        return emit_set("0-9a-fA-F", kind == 'H', 2);
      case 'p':
      case 'P':
        return property();
      case 'v':
        return emit("\\x0B", 2);
      case 'u':
        return code_unit();
      case 'x':
        return code_point();
      case 'n':
      case 'r':
      case 't':
      case 'f':
      case 'e':
      case 'a':
        return copy(2);
      case 'A':
      case 'z':
      case 'Z':
        if (in_class_) refuse(2);
        return copy(2);
      default:
        if ((kind >= '0' && kind <= '9') || (kind >= 'a' && kind <= 'z') ||
            (kind >= 'A' && kind <= 'Z')) {
          refuse(2);
        }
        return copy(2);
    }
  }

  void property() {
    const size_t close = rest().find('}');
    if (!rest().substr(2).starts_with("{") || close == std::string_view::npos) refuse(3);
    std::string_view name = rest().substr(3, close - 3);
    bool negated = pattern_[at_ + 1] == 'P';
    if (name.starts_with("^")) {
      negated = !negated;
      name.remove_prefix(1);
    }
    if (name.empty() || name.find('=') != std::string_view::npos) refuse(close + 1);
    if (name == "C" || name == "Cn") refuse(close + 1);  // unassigned: differs between versions
    // Long names are scripts: PCRE2 would take them as script extensions.
    const std::string contents =
        name.size() <= 2 ? category_class(name) : fmt::format("\\p{{sc:{}}}", name);
    emit_set(contents, negated, close + 1);
  }

  void code_unit() {  // \uHHHH
    const std::string_view hex = rest().substr(2, 4);
    if (hex.size() < 4 || !is_hex(hex[0]) || !is_hex(hex[1]) || !is_hex(hex[2]) ||
        !is_hex(hex[3])) {
      refuse(6);
    }
    emit(fmt::format("\\x{{{}}}", hex), 6);
  }

  void code_point() {  // \x{H…}, or \xHH: a raw byte in Oniguruma, so ASCII only
    if (rest().starts_with("\\x{")) {
      const size_t close = rest().find('}');
      if (close == std::string_view::npos) refuse(3);
      return copy(close + 1);
    }
    const std::string_view hex = rest().substr(2, 2);
    if (hex.size() < 2 || !is_hex(hex[0]) || !is_hex(hex[1]) || hex[0] > '7') refuse(4);
    copy(4);
  }

  std::string_view pattern_;
  const std::string& where_;
  std::string out_;
  size_t at_ = 0;
  bool in_class_ = false;
};

}  // namespace

std::string to_pcre2_syntax(std::string_view pattern, const std::string& where) {
  return Translator(pattern, where).run();
}

}  // namespace treepo
