#include "data/source_spec.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "data/presets.h"

namespace treepo {

namespace {

constexpr const char* kForm = "[NAME=][WEIGHT*][PRESET:]FILE[?FIELD=VALUE&…]";

// Takes `text` up to the separator off its front, where all of it is made of such characters.
std::optional<std::string> take_front(std::string_view& text, char separator,
                                      std::string_view characters) {
  const size_t end = text.find_first_not_of(characters);
  if (end == std::string_view::npos || end == 0 || text[end] != separator) return std::nullopt;
  std::string front(text.substr(0, end));
  text.remove_prefix(end + 1);
  return front;
}

constexpr std::string_view kNameCharacters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

double parse_weight(const std::string& number, const std::string& text) {
  double weight = 0;
  const char* end = number.data() + number.size();
  const auto [stopped, failure] = std::from_chars(number.data(), end, weight);
  if (failure == std::errc() && stopped == end && std::isfinite(weight) && weight > 0)
    return weight;
  throw Error(fmt::format("\"{}\": the weight {} is no number above 0", text, number),
              fmt::format("write {}, as in 0.5*gsm8k:train.jsonl", kForm));
}

std::vector<std::pair<std::string, std::string>> parse_arguments(std::string_view list,
                                                                 const std::string& text) {
  std::vector<std::pair<std::string, std::string>> arguments;
  while (!list.empty()) {
    const std::string_view one = list.substr(0, list.find('&'));
    const size_t equals = one.find('=');
    if (equals == std::string_view::npos || equals == 0 || equals + 1 == one.size())
      throw Error(fmt::format("\"{}\": \"{}\" behind ? is not FIELD=VALUE", text, one),
                  fmt::format("write {}, as in file.jsonl?prompt=question&level=3..5", kForm));
    arguments.emplace_back(one.substr(0, equals), one.substr(equals + 1));
    list.remove_prefix(std::min(one.size() + 1, list.size()));
  }
  return arguments;
}

std::string stem_of(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return name.substr(
      0, std::max<size_t>(name.rfind('.') == std::string::npos ? name.size() : name.rfind('.'), 1));
}

std::string folder_of(const std::string& path) {
  const std::string folder = parent_directory(path);
  return folder.substr(folder.rfind('/') + 1);
}

void make_names_differ(std::vector<SourceSpec>& sources) {
  std::map<std::string, int> count;
  for (const SourceSpec& source : sources) ++count[source.name];
  std::map<std::string, const SourceSpec*> taken;
  for (SourceSpec& source : sources) {
    if (count[source.name] > 1) source.name = folder_of(source.path) + "/" + source.name;
    const auto [earlier, is_new] = taken.emplace(source.name, &source);
    if (is_new) continue;
    throw Error(fmt::format("two sources are named {}: {} and {}", source.name,
                            earlier->second->path, source.path),
                fmt::format("give one another name: {}", kForm));
  }
}

}  // namespace

SourceSpec parse_source(const std::string& text) {
  if (text.empty()) throw Error("an empty text names no file", fmt::format("write {}", kForm));
  SourceSpec source;
  std::string_view rest = text;
  if (!file_system().exists(text)) {
    const size_t question_mark = rest.find('?');
    if (question_mark != std::string_view::npos) {
      source.arguments = parse_arguments(rest.substr(question_mark + 1), text);
      rest = rest.substr(0, question_mark);
    }
    source.name = take_front(rest, '=', kNameCharacters).value_or("");
    if (const auto weight = take_front(rest, '*', "0123456789.eE+-"))
      source.weight = parse_weight(*weight, text);
    source.preset = take_front(rest, ':', kNameCharacters).value_or("");
    if (!source.preset.empty()) find_preset(source.preset, text);
    if (rest.empty())
      throw Error(fmt::format("\"{}\" names no file", text), fmt::format("write {}", kForm));
  }
  source.path = rest;
  if (source.name.empty()) source.name = stem_of(source.path);
  return source;
}

std::vector<SourceSpec> parse_sources(const std::vector<std::string>& texts) {
  std::vector<SourceSpec> sources;
  for (const std::string& text : texts) sources.push_back(parse_source(text));
  make_names_differ(sources);
  const auto weighted = std::count_if(sources.begin(), sources.end(),
                                      [](const SourceSpec& s) { return s.weight.has_value(); });
  if (weighted != 0 && weighted != std::ssize(sources))
    throw Error(fmt::format("{} of {} sources have a weight", weighted, sources.size()),
                "give every source one, or none: then each problem comes once in an epoch");
  return sources;
}

}  // namespace treepo
