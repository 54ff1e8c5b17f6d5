#include "reward/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "base/error.h"
#include "text/utf8.h"

namespace treepo {

namespace {

constexpr uint32_t kMostSteps = 5'000'000;  // of backtracking: some 0.1 s

using MatchData = std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;
using MatchContext = std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)>;

// Searches one text; the text must be valid UTF-8.
class Search {
 public:
  Search(const pcre2_code* code, std::string_view text)
      : code_(code),
        text_(text),
        data_(pcre2_match_data_create_from_pattern(code, nullptr), pcre2_match_data_free),
        context_(pcre2_match_context_create(nullptr), pcre2_match_context_free) {
    pcre2_set_match_limit(context_.get(), kMostSteps);
  }

  // From the byte on; PCRE2's result: negative where nothing is found or it gave up.
  int from(size_t offset) {
    return pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text_.data()), text_.size(), offset,
                       PCRE2_NO_UTF_CHECK, data_.get(), context_.get());
  }
  size_t begin(size_t group) const { return pcre2_get_ovector_pointer(data_.get())[2 * group]; }
  size_t end(size_t group) const { return pcre2_get_ovector_pointer(data_.get())[2 * group + 1]; }

 private:
  const pcre2_code* code_;
  std::string_view text_;
  MatchData data_;
  MatchContext context_;
};

const pcre2_code* code_of(const std::shared_ptr<const void>& code) {
  return static_cast<const pcre2_code*>(code.get());
}

}  // namespace

ResponsePattern::ResponsePattern(std::string_view pattern, const std::string& where) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   PCRE2_UTF | PCRE2_UCP | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY,
                                   &error, &offset, nullptr);
  if (!code) {
    std::array<PCRE2_UCHAR, 256> message{};
    pcre2_get_error_message(error, message.data(), message.size());
    throw Error(fmt::format("{}: the regular expression \"{}\" is wrong at byte {}: {}", where,
                            pattern, offset, reinterpret_cast<const char*>(message.data())),
                "it is written as for Perl (PCRE2)");
  }
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where it fails, the interpreter gives the same
  code_ = {code,
           [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); }};
}

std::optional<bool> ResponsePattern::is_in(std::string_view text) const {
  if (valid_utf8_prefix(text) != text.size()) {
    std::string valid;
    append_lossy_utf8(text, true, valid);
    return is_in(valid);
  }
  const int found = Search(code_of(code_), text).from(0);
  if (found >= 0) return true;
  return found == PCRE2_ERROR_NOMATCH ? std::optional(false) : std::nullopt;
}

std::optional<std::string_view> ResponsePattern::last_group(std::string_view text) const {
  text = text.substr(0, valid_utf8_prefix(text));
  Search search(code_of(code_), text);
  std::optional<std::string_view> last;
  for (size_t at = 0; at <= text.size() && search.from(at) >= 2;) {
    last = text.substr(search.begin(1), search.end(1) - search.begin(1));
    at = search.end(0) > at ? search.end(0) : at + 1;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  }
  return last;
}

}  // namespace treepo
