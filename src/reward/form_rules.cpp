// Rules about the form of a response: they need no answer.
#include <charconv>
#include <unordered_map>

#include "base/error.h"
#include "base/format.h"  // character_count
#include "reward/pattern.h"
#include "reward/rules.h"
#include "reward/trim.h"

namespace treepo {

namespace {

Verdict pass(std::string reason) {
  return {.score = 1, .correct = true, .reason = std::move(reason)};
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (size_t end = 0; end != std::string_view::npos;
       text.remove_prefix(std::min(end + 1, text.size()))) {
    end = text.find(separator);
    parts.emplace_back(trim(text.substr(0, end)));
    if (end == std::string_view::npos) break;
  }
  return parts;
}

size_t count(std::string_view text, std::string_view what) {
  size_t found = 0;
  for (size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1))
    ++found;
  return found;
}

// Empty if the tags are there as tags_rule asks, else what is wrong.
std::string tags_fault(std::string_view text, const std::vector<std::string>& names) {
  size_t from = 0;
  for (const std::string& name : names) {
    const std::string open = "<" + name + ">", close = "</" + name + ">";
    if (count(text, open) != 1 || count(text, close) != 1)
      return fmt::format("not one {} and one {}", open, close);
    const size_t begin = text.find(open), end = text.find(close);
    if (begin < from || end < begin) return fmt::format("{} out of order", open);
    if (trim(text.substr(begin + open.size(), end - begin - open.size())).empty())
      return fmt::format("{} is empty", open);
    from = end + close.size();
  }
  return "";
}

std::optional<int64_t> parse_count(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::vector<std::string_view> words_of(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\f\v";
  std::vector<std::string_view> words;
  while (!(text = trim(text)).empty()) {
    words.push_back(text.substr(0, text.find_first_of(kSpace)));
    text.remove_prefix(words.back().size());
  }
  return words;
}

// Of the runs of `length` words, the share that occurred before.
double repeated_share(std::string_view text, size_t length) {
  const std::vector<std::string_view> words = words_of(text);
  if (words.size() < length) return 0;
  std::unordered_map<std::string_view, int> seen;
  const size_t runs = words.size() - length + 1;
  std::vector<std::string> joined(runs);
  for (size_t i = 0; i < runs; ++i) {
    for (size_t j = i; j < i + length; ++j) joined[i].append(words[j]).push_back(' ');
    ++seen[joined[i]];
  }
  return 1 - static_cast<double>(seen.size()) / static_cast<double>(runs);
}

}  // namespace

NativeRule format_rule(const std::string& pattern) {
  if (pattern.empty())
    throw Error("format needs a regular expression", "for example format:^<think>.*</think>");
  return {[p = ResponsePattern(pattern, "format")](const Response& response) -> Verdict {
    const std::optional<bool> found = p.is_in(response.text);
    if (!found)
      return {.reason = "the regular expression takes too long",
              .failure = VerifierFailure::timed_out};
    return *found ? pass("matches") : Verdict{.reason = "does not match"};
  }};
}

NativeRule tags_rule(const std::string& argument) {
  const std::vector<std::string> names = split(argument, ',');
  for (const std::string& name : names)
    if (name.empty() || name.find_first_of("<>/") != std::string::npos)
      throw Error(fmt::format("tags:{}: a tag's name is missing", argument),
                  "for example tags:think,answer");
  return {[names](const Response& response) -> Verdict {
    const std::string fault = tags_fault(response.text, names);
    return fault.empty() ? pass("all tags") : Verdict{.reason = fault};
  }};
}

NativeRule length_rule(const std::string& argument) {
  const size_t dots = argument.find("..");
  const bool range = dots != std::string::npos;
  const auto least = range ? parse_count(argument.substr(0, dots)) : std::optional<int64_t>(0);
  const auto most = parse_count(range ? argument.substr(dots + 2) : argument);
  if (!least || !most || *least > *most)
    throw Error(fmt::format("length:{}: no range of characters", argument),
                "for example length:2000, or length:100..2000");
  return {[least = *least, most = *most](const Response& response) -> Verdict {
    const int64_t length = character_count(response.text);
    if (length < least) return {.reason = fmt::format("{} characters, too few", length)};
    if (length > most) return {.reason = fmt::format("{} characters, too many", length)};
    return pass(fmt::format("{} characters", length));
  }};
}

NativeRule repetition_rule(const std::string& argument) {
  const auto length = argument.empty() ? std::optional<int64_t>(3) : parse_count(argument);
  if (!length || *length < 1 || *length > 100)
    throw Error(fmt::format("repetition:{}: no number of words from 1 to 100", argument),
                "for example -0.2*repetition:3");
  return {[n = static_cast<size_t>(*length)](const Response& response) -> Verdict {
    const double share = repeated_share(response.text, n);
    return {.score = share,
            .correct = share == 0,
            .reason = fmt::format("{:.0f} % repeated", 100 * share)};
  }};
}

}  // namespace treepo
