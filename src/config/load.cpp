#include "config/load.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/hub_cache.h"  // find_model
#include "config/declare.h"
#include "config/validate.h"

namespace treepo {

namespace {

std::string place_of(const std::string& name, const toml::source_region& source) {
  return fmt::format("{}, line {}", name, source.begin.line);
}

// Nothing for kinds of values that no option has: tables, dates, mixed lists.
std::optional<OptionValue> to_option_value(const toml::node& node) {
  if (const auto* flag = node.as_boolean()) return flag->get();
  if (const auto* number = node.as_integer()) return number->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* array = node.as_array()) {
    std::vector<std::string> texts;
    for (const toml::node& element : *array) {
      if (!element.is_string()) return std::nullopt;
      texts.push_back(element.as_string()->get());
    }
    return texts;
  }
  return std::nullopt;
}

std::string_view kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list that holds something else than strings";
    default:
      return "a date or time";
  }
}

void set_from_node(const OptionTable& table, const std::string& key, const toml::node& node,
                   const std::string& place) {
  const Option* option = table.find(key);
  if (!option) table.throw_unknown_key(key, place);
  const std::optional<OptionValue> value = to_option_value(node);
  if (!value) {
    throw Error(fmt::format("{}: {} cannot be {}", place, key, kind_of(node)),
                fmt::format("{}: {}; allowed: {}", key, option->help, option->range));
  }
  table.set(key, *value, place);
}

struct Entry {
  std::string key;
  const toml::node* node;
};

// Keys and values of a file. A table that is no section is an entry itself, to be complained about.
std::vector<Entry> entries_of(const OptionTable& table, const toml::table& root) {
  std::vector<Entry> entries;
  for (const auto& [name, node] : root) {
    const std::string section(name.str());
    const toml::table* fields = node.as_table();
    if (!fields || !table.has_section(section)) {
      entries.push_back({section, &node});
      continue;
    }
    for (const auto& [field, value] : *fields)
      entries.push_back({fmt::format("{}.{}", section, std::string_view(field.str())), &value});
  }
  // The first mistake in the file is the one to report; toml++ sorts by name.
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.node->source().begin.line < b.node->source().begin.line;
  });
  return entries;
}

[[noreturn]] void throw_bad_section(const OptionTable& table, const Entry& entry,
                                    const std::string& place) {
  if (table.has_section(entry.key)) {
    throw Error(fmt::format("{}: {} is a section, not an option", place, entry.key),
                fmt::format("write [{}] on a line of its own, and its options below", entry.key));
  }
  const auto nearest = std::min_element(
      table.sections().begin(), table.sections().end(), [&](const auto& a, const auto& b) {
        return edit_distance(entry.key, a.name) < edit_distance(entry.key, b.name);
      });
  throw Error(fmt::format("{}: unknown section [{}]", place, entry.key),
              fmt::format("did you mean [{}]? `treepo options` lists all", nearest->name));
}

toml::table parse(std::string_view text, const std::string& name) {
  try {
    return toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    throw Error(fmt::format("{}, column {}: {}", place_of(name, error.source()),
                            error.source().begin.column, error.description()),
                "see https://toml.io for how values are written");
  }
}

// The value alone, if the text is one TOML value and nothing else.
std::optional<toml::table> parse_value(const std::string& text) {
  if (text.find('\n') != std::string::npos) return std::nullopt;
  try {
    return toml::parse("value = " + text);
  } catch (const toml::parse_error&) {
    return std::nullopt;
  }
}

bool is_string(const Option& option) {
  return std::holds_alternative<std::string>(option.get());
}

}  // namespace

void apply_toml(const OptionTable& table, std::string_view text, const std::string& name) {
  const toml::table root = parse(text, name);
  for (const Entry& entry : entries_of(table, root)) {
    const std::string place = place_of(name, entry.node->source());
    const bool is_section = entry.key.find('.') == std::string::npos &&
                            (entry.node->is_table() || table.has_section(entry.key));
    if (is_section) throw_bad_section(table, entry, place);
    set_from_node(table, entry.key, *entry.node, place);
  }
}

void apply_override(const OptionTable& table, const std::string& argument) {
  const std::string place = "--set " + argument;
  const size_t equals = argument.find('=');
  if (equals == std::string::npos || equals == 0)
    throw Error(place + ": no value", "write --set KEY=VALUE, as in --set rollout.width=8");
  const std::string key = argument.substr(0, equals), text = argument.substr(equals + 1);
  const Option* option = table.find(key);
  if (!option) table.throw_unknown_key(key, place);

  const auto parsed = parse_value(text);
  const toml::node* node = parsed ? parsed->get("value") : nullptr;
  // A path such as 2026-01-01 or 7 is no date or number for an option that is a text.
  const bool wants_text = option->takes_text || is_string(*option);
  const bool lists = std::holds_alternative<std::vector<std::string>>(option->get());
  if (node && (node->is_string() || !wants_text || (lists && node->is_array())))
    return set_from_node(table, key, *node, place);
  if (text.starts_with('"') || text.starts_with('\'') || text.starts_with('['))
    throw Error(place + ": the value is not valid TOML",
                "quotes and brackets must be closed, and the shell must let them through: "
                "--set 'stop.stop_strings=[\"a\", \"b\"]'");
  table.set(key, text, place);
}

RunOptions load_options(const std::string& path, const std::vector<std::string>& overrides) {
  RunOptions options;
  const OptionTable table = declare_options(options);
  if (!path.empty()) apply_toml(table, read_file(path), path);
  for (const std::string& argument : overrides) apply_override(table, argument);
  options.model.path = find_model(options.model.path);
  validate(options);
  return options;
}

}  // namespace treepo
