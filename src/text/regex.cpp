#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "text/regex_syntax.h"
#include "text/utf8.h"

namespace treepo {

namespace {

struct FreeMatchData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct FreeMatchContext {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct FreeCompileContext {
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
};

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

std::shared_ptr<const void> compile(std::string_view pattern, const std::string& where) {
  const std::string translated = to_pcre2_syntax(pattern, where);
  const std::unique_ptr<pcre2_compile_context, FreeCompileContext> context(
      pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE error_offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &error_offset, context.get());
  if (code == nullptr) {
    throw Error(fmt::format("{}: unsupported regular expression \"{}\": {}", where, pattern,
                            pcre2_message(error)));
  }
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where it fails, the interpreter gives the same
  return {code,
          [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); }};
}

}  // namespace

Regex::Regex(std::string_view pattern, const std::string& where) : code_(compile(pattern, where)) {}

void Regex::find_all(std::string_view text, std::vector<TextSpan>& matches) const {
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const std::unique_ptr<pcre2_match_data, FreeMatchData> data(pcre2_match_data_create(1, nullptr));
  const std::unique_ptr<pcre2_match_context, FreeMatchContext> context(
      pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(context.get(), UINT32_MAX);
  const PCRE2_SIZE* found = pcre2_get_ovector_pointer(data.get());

  matches.clear();
  for (size_t start = 0; start <= text.size();) {
    const auto run = [&](uint32_t options) {
      return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), start,
                         PCRE2_NO_UTF_CHECK | options, data.get(), context.get());
    };
    int result = run(0);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = run(PCRE2_NO_JIT);
    if (result == PCRE2_ERROR_NOMATCH) return;
    if (result < 0) {
      throw Error(
          fmt::format("a regular expression of the tokenizer fails on a text of {} bytes: {}",
                      text.size(), pcre2_message(result)));
    }
    const TextSpan match{found[0], found[1]};
    if (match.begin == match.end && !matches.empty() && matches.back().end == match.end) {
      if (start == text.size()) return;
      next_code_point(text, start);
      continue;
    }
    matches.push_back(match);
    start = match.end;
  }
}

Pattern Pattern::from_json(const Json& parent, const std::string& where) {
  const Json& value = get_object(parent, "pattern", where);
  const std::string inside = where + ".pattern";
  Pattern pattern;
  if (value.contains("Regex")) {
    pattern.regex_.emplace(get_string(value, "Regex", inside), inside + ".Regex");
  } else {
    pattern.literal_ = get_string(value, "String", inside);
    if (pattern.literal_.empty()) throw Error(inside + ": \"String\" must not be empty");
  }
  return pattern;
}

void Pattern::find_all(std::string_view text, std::vector<TextSpan>& matches) const {
  if (regex_) return regex_->find_all(text, matches);
  matches.clear();
  for (size_t at = text.find(literal_); at != std::string_view::npos;
       at = text.find(literal_, at + literal_.size())) {
    matches.push_back({at, at + literal_.size()});
  }
}

bool Pattern::is_one_character() const {
  return !regex_ && scan_utf8(literal_).length == literal_.size();
}

std::string replace_all(std::string_view text, const Pattern& pattern, std::string_view content) {
  std::vector<TextSpan> matches;
  pattern.find_all(text, matches);
  std::string out;
  out.reserve(text.size() + matches.size() * content.size());
  size_t done = 0;
  for (const TextSpan& match : matches) {
    out += text.substr(done, match.begin - done);
    out += content;
    done = match.end;
  }
  out += text.substr(done);
  return out;
}

}  // namespace treepo
