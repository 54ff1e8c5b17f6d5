#include "config/option_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace treepo {

namespace {

// Upper ends from here on keep numbers within 32 bits and are of no interest to who reads a range.
constexpr int64_t kTechnicalLimit = int64_t{1} << 24;

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string double_text(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";  // else TOML reads an integer
  return text;
}

// What was given, for errors; long texts are cut.
std::string describe(const OptionValue& value) {
  std::string text = to_toml(value);
  if (text.size() > 80) text = text.substr(0, 77) + "...";
  if (std::holds_alternative<std::string>(value)) return "the string " + text;
  return text;
}

std::string range_text(const IntRange& range) {
  if (range.max >= kTechnicalLimit) return fmt::format("{} or more", range.min);
  return fmt::format("{} to {}", range.min, range.max);
}

std::string range_text(const DoubleRange& range) {
  if (std::isinf(range.max))
    return range.above_min ? fmt::format("above {}", range.min)
                           : fmt::format("{} or more", range.min);
  if (range.above_min) return fmt::format("above {}, at most {}", range.min, range.max);
  if (range.below_max) return fmt::format("{} or more, below {}", range.min, range.max);
  return fmt::format("{} to {}", range.min, range.max);
}

bool contains(const DoubleRange& range, double value) {
  return std::isfinite(value) && (range.above_min ? value > range.min : value >= range.min) &&
         (range.below_max ? value < range.max : value <= range.max);
}

// Length of the UTF-8 character at the start of `text`; 0 if there is none.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const size_t length = first < 0x80   ? 1
                        : first < 0xC2 ? 0
                        : first < 0xE0 ? 2
                        : first < 0xF0 ? 3
                        : first < 0xF5 ? 4
                                       : 0;
  if (length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  // Over-long forms, surrogates and what lies beyond U+10FFFF show in the second byte.
  if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) ||
      (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F))
    return 0;
  return length;
}

// Text that a TOML file can hold and a path can be made of.
bool is_storable(std::string_view text) {
  while (!text.empty()) {
    const size_t length = text[0] == '\0' ? 0 : utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

constexpr const char* kTextRule = "UTF-8 text without zero bytes";

std::string set_string(std::string& target, const OptionValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (!text) return "a string";
  if (!is_storable(*text)) return kTextRule;
  target = *text;
  return "";
}

std::string set_strings(std::vector<std::string>& target, const OptionValue& value) {
  const auto* texts = std::get_if<std::vector<std::string>>(&value);
  if (!texts) return R"(a list of strings, like ["a", "b"])";
  if (!std::all_of(texts->begin(), texts->end(), is_storable)) return kTextRule;
  target = *texts;
  return "";
}

std::string set_texts(std::vector<std::string>& target, const OptionValue& value) {
  std::string text;
  if (!std::holds_alternative<std::string>(value))
    return set_strings(target, value).empty() ? ""
                                              : R"(a text or a list of texts, like ["a", "b"])";
  const std::string rule = set_string(text, value);
  if (rule.empty()) target = text.empty() ? std::vector<std::string>() : std::vector{text};
  return rule;
}

char normalised(char c) {
  return c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

}  // namespace

std::string to_toml(const OptionValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* number = std::get_if<int64_t>(&value)) return std::to_string(*number);
  if (const auto* number = std::get_if<double>(&value)) return double_text(*number);
  if (const auto* text = std::get_if<std::string>(&value)) return quote(*text);
  std::vector<std::string> quoted;
  for (const std::string& text : std::get<std::vector<std::string>>(value))
    quoted.push_back(quote(text));
  return fmt::format("[{}]", fmt::join(quoted, ", "));
}

void OptionTable::begin_section(std::string name, std::string help) {
  sections_.push_back({std::move(name), std::move(help)});
}

Option& OptionTable::add_option(std::string_view field, std::string range, std::string help,
                                OnResume on_resume) {
  Option option;
  option.key = fmt::format("{}.{}", sections_.back().name, field);
  TREEPO_CHECK(!find(option.key), "{} is declared twice", option.key);
  option.help = std::move(help);
  option.on_resume = on_resume;
  option.range = std::move(range);
  return options_.emplace_back(std::move(option));
}

void OptionTable::add(std::string_view field, int64_t& target, IntRange range, std::string help,
                      OnResume on_resume) {
  Option& option = add_option(field, range_text(range), std::move(help), on_resume);
  option.get = [&target] { return target; };
  option.set = [&target, range](const OptionValue& value) -> std::string {
    const auto* number = std::get_if<int64_t>(&value);
    if (!number) return "an integer";
    if (*number > range.max) return fmt::format("at most {}", range.max);
    if (*number < range.min) return range_text(range);
    target = *number;
    return "";
  };
}

void OptionTable::add(std::string_view field, double& target, DoubleRange range, std::string help,
                      OnResume on_resume) {
  Option& option = add_option(field, range_text(range), std::move(help), on_resume);
  option.get = [&target] { return target; };
  option.set = [&target, range](const OptionValue& value) -> std::string {
    const auto* whole = std::get_if<int64_t>(&value);
    const auto* number = std::get_if<double>(&value);
    if (!whole && !number) return "a number";
    const double wanted = whole ? static_cast<double>(*whole) : *number;
    if (!contains(range, wanted)) return range_text(range);
    target = wanted;
    return "";
  };
}

void OptionTable::add(std::string_view field, bool& target, std::string help, OnResume on_resume) {
  Option& option = add_option(field, "true, false", std::move(help), on_resume);
  option.get = [&target] { return target; };
  option.set = [&target](const OptionValue& value) -> std::string {
    const auto* flag = std::get_if<bool>(&value);
    if (!flag) return "true or false";
    target = *flag;
    return "";
  };
}

void OptionTable::add(std::string_view field, std::string& target, std::string help,
                      OnResume on_resume) {
  Option& option = add_option(field, "text", std::move(help), on_resume);
  option.takes_text = true;
  option.get = [&target] { return target; };
  option.set = [&target](const OptionValue& value) { return set_string(target, value); };
}

void OptionTable::add(std::string_view field, std::vector<std::string>& target, std::string help,
                      OnResume on_resume) {
  Option& option = add_option(field, "list of texts", std::move(help), on_resume);
  option.get = [&target] { return target; };
  option.set = [&target](const OptionValue& value) { return set_strings(target, value); };
}

void OptionTable::add_texts(std::string_view field, std::vector<std::string>& target,
                            std::string help, OnResume on_resume) {
  Option& option = add_option(field, "text, or list of texts", std::move(help), on_resume);
  option.takes_text = true;
  option.get = [&target] { return target; };
  option.set = [&target](const OptionValue& value) { return set_texts(target, value); };
}

void OptionTable::add_pattern(std::string_view field, std::string& target, std::string range,
                              std::function<bool(const std::string&)> matches, std::string help,
                              OnResume on_resume) {
  Option& option = add_option(field, range, std::move(help), on_resume);
  option.get = [&target] { return target; };
  option.set = [&target, range, matches](const OptionValue& value) -> std::string {
    const auto* text = std::get_if<std::string>(&value);
    if (!text || !matches(*text)) return "one of " + range;
    target = *text;
    return "";
  };
}

void OptionTable::add_choice(std::string_view field, std::string& target,
                             std::vector<std::string> choices, std::string help,
                             OnResume on_resume) {
  const auto matches = [choices](const std::string& text) {
    return std::find(choices.begin(), choices.end(), text) != choices.end();
  };
  add_pattern(field, target, fmt::format("{}", fmt::join(choices, ", ")), matches, std::move(help),
              on_resume);
}

void OptionTable::add_names(std::string_view field, std::span<const std::string_view> names,
                            std::function<std::string()> get, std::function<void(size_t)> set,
                            std::string help, OnResume on_resume) {
  const std::string range = fmt::format("{}", fmt::join(names, ", "));
  Option& option = add_option(field, range, std::move(help), on_resume);
  option.get = get;
  option.set = [names, range, set](const OptionValue& value) -> std::string {
    const auto* text = std::get_if<std::string>(&value);
    const auto found = text ? std::find(names.begin(), names.end(), *text) : names.end();
    if (found == names.end()) return "one of " + range;
    set(static_cast<size_t>(found - names.begin()));
    return "";
  };
}

const Option* OptionTable::find(std::string_view key) const {
  const auto found = std::find_if(options_.begin(), options_.end(),
                                  [&](const Option& option) { return option.key == key; });
  return found == options_.end() ? nullptr : &*found;
}

bool OptionTable::has_section(std::string_view name) const {
  return std::any_of(sections_.begin(), sections_.end(),
                     [&](const OptionSection& section) { return section.name == name; });
}

const std::string& OptionTable::nearest_key(std::string_view key) const {
  constexpr int kWrongSection = 2;  // as bad as two wrong letters
  const std::string_view field = key.substr(key.rfind('.') + 1);
  const Option* nearest = nullptr;
  int least = std::numeric_limits<int>::max();
  for (const Option& option : options_) {
    const int distance = std::min(edit_distance(key, option.key),
                                  edit_distance(field, option.field()) + kWrongSection);
    if (distance < least) {
      least = distance;
      nearest = &option;
    }
  }
  TREEPO_CHECK(nearest, "no options are declared");
  return nearest->key;
}

void OptionTable::set(const std::string& key, const OptionValue& value,
                      const std::string& place) const {
  const Option* option = find(key);
  if (!option) throw_unknown_key(key, place);
  const std::string rule = option->set(value);
  if (rule.empty()) return;
  throw Error(fmt::format("{}: {} must be {}, but is {}", place, key, rule, describe(value)),
              fmt::format("{}: {}", key, option->help));
}

void OptionTable::throw_unknown_key(const std::string& key, const std::string& place) const {
  throw Error(fmt::format("{}: unknown option {}", place, key),
              fmt::format("did you mean {}? `treepo options` lists all", nearest_key(key)));
}

int edit_distance(std::string_view a, std::string_view b) {
  // Row i holds the distances from the first i characters of a to every beginning of b.
  std::vector<int> before_previous, previous(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) previous[j] = static_cast<int>(j);
  const auto same = [&](size_t i, size_t j) { return normalised(a[i]) == normalised(b[j]); };
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min(
          {previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (same(i - 1, j - 1) ? 0 : 1)});
      if (i > 1 && j > 1 && same(i - 1, j - 2) && same(i - 2, j - 1))
        row[j] = std::min(row[j], before_previous[j - 2] + 1);
    }
    before_previous = std::exchange(previous, row);
  }
  return previous[b.size()];
}

}  // namespace treepo
