#include "config/study_file.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "config/load.h"

namespace treepo {

namespace {

constexpr std::string_view kKeys = "base, dir, seeds, warm_start_once, set, [[variant]], [grid]";

std::string place_of(const std::string& path, const toml::node& node) {
  return fmt::format("{}, line {}", path, node.source().begin.line);
}

[[noreturn]] void throw_wrong_kind(const std::string& path, const toml::node& node,
                                   std::string_view key, std::string_view expected) {
  throw Error(fmt::format("{}: {} must be {}", place_of(path, node), key, expected));
}

std::string text_of(const std::string& path, const toml::node& node, std::string_view key) {
  const auto* text = node.as_string();
  if (!text || text->get().empty()) throw_wrong_kind(path, node, key, "a text that is not empty");
  return text->get();
}

std::vector<std::string> settings_of(const std::string& path, const toml::node& node) {
  constexpr std::string_view kExpected = "a list of texts \"KEY=VALUE\"";
  const auto* array = node.as_array();
  if (!array) throw_wrong_kind(path, node, "set", kExpected);
  std::vector<std::string> settings;
  for (const toml::node& element : *array) {
    if (!element.is_string()) throw_wrong_kind(path, element, "set", kExpected);
    settings.push_back(element.as_string()->get());
  }
  return settings;
}

std::vector<int64_t> seeds_of(const std::string& path, const toml::node& node) {
  constexpr std::string_view kExpected = "a list of different whole numbers, 0 or more";
  const auto* array = node.as_array();
  if (!array || array->empty()) throw_wrong_kind(path, node, "seeds", kExpected);
  std::vector<int64_t> seeds;
  for (const toml::node& element : *array) {
    const auto* number = element.as_integer();
    if (!number || number->get() < 0 || std::ranges::count(seeds, number->get()) > 0)
      throw_wrong_kind(path, element, "seeds", kExpected);
    seeds.push_back(number->get());
  }
  return seeds;
}

std::string folder_name(const std::string& text) {
  std::string name;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '+';
    name += plain ? c : '-';
  }
  return name;
}

StudyVariant variant_of(const std::string& path, const toml::node& node) {
  const auto* table = node.as_table();
  if (!table) throw_wrong_kind(path, node, "variant", "written as [[variant]]");
  StudyVariant variant;
  for (const auto& [key, value] : *table) {
    if (key.str() == "name") {
      variant.name = text_of(path, value, "name");
    } else if (key.str() == "set") {
      variant.set = settings_of(path, value);
    } else {
      throw Error(fmt::format("{}: unknown key {}", place_of(path, value), key.str()),
                  "a [[variant]] has a name and a list set");
    }
  }
  if (variant.name.empty())
    throw Error(place_of(path, node) + ": a [[variant]] without a name",
                "write name = \"…\" below it");
  if (variant.name != folder_name(variant.name) || variant.name.starts_with('.'))
    throw Error(fmt::format("{}: the name \"{}\" cannot be that of a folder", place_of(path, node),
                            variant.name),
                "use letters, digits and - _ . + only");
  return variant;
}

std::string_view key_of(std::string_view setting) {
  return setting.substr(0, setting.find('='));
}

std::string value_text(const toml::node& node) {
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  std::ostringstream out;
  node.visit([&](const auto& value) { out << value; });
  return out.str();
}

// All combinations so far, each with every value of one more key.
std::vector<StudyVariant> crossed(const std::vector<StudyVariant>& variants, std::string_view key,
                                  const toml::array& values) {
  const std::string_view field = key.substr(key.rfind('.') + 1);
  std::vector<StudyVariant> all;
  for (const StudyVariant& variant : variants) {
    for (const toml::node& value : values) {
      const std::string text = value_text(value);
      std::string plain = text;
      std::erase_if(plain, [](char c) { return c == '\'' || c == '"' || c == ' '; });
      StudyVariant next = variant;
      next.name += fmt::format("{}{}_{}", next.name.empty() ? "" : "+", field, folder_name(plain));
      next.set.push_back(fmt::format("{}={}", key, text));
      all.push_back(std::move(next));
    }
  }
  return all;
}

std::vector<StudyVariant> grid_of(const std::string& path, const toml::node& node) {
  const auto* table = node.as_table();
  if (!table) throw_wrong_kind(path, node, "grid", "a table of lists");
  if (table->empty()) return {};
  std::vector<std::pair<std::string, const toml::array*>> axes;
  for (const auto& [key, value] : *table) {
    const auto* array = value.as_array();
    if (!array || array->empty())
      throw_wrong_kind(path, value, fmt::format("grid: \"{}\"", key.str()),
                       "a list of values; keys are written in quotes: \"rollout.width\" = [8, 16]");
    axes.emplace_back(key.str(), array);
  }
  // toml++ sorts by name; the names of variants follow the file.
  std::ranges::stable_sort(axes, [](const auto& a, const auto& b) {
    return a.second->source().begin.line < b.second->source().begin.line;
  });
  std::vector<StudyVariant> variants = {{.name = ""}};
  for (const auto& [key, values] : axes) variants = crossed(variants, key, *values);
  return variants;
}

void check_names(const std::string& path, const std::vector<StudyVariant>& variants) {
  for (size_t i = 0; i < variants.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (variants[i].name == variants[j].name)
        throw Error(fmt::format("{}: two variants are named \"{}\"", path, variants[i].name));
}

toml::table parse(const std::string& path) {
  const std::string text = read_file(path);
  try {
    return toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    throw Error(fmt::format("{}, line {}, column {}: {}", path, error.source().begin.line,
                            error.source().begin.column, error.description()),
                "see https://toml.io for how values are written");
  }
}

}  // namespace

StudyFile read_study_file(const std::string& path) {
  const toml::table root = parse(path);
  StudyFile study;
  std::vector<StudyVariant> grid;
  for (const auto& [key, node] : root) {
    const std::string_view name = key.str();
    if (name == "base") {
      const std::filesystem::path folder = std::filesystem::path(path).parent_path();
      study.base = (folder / text_of(path, node, name)).string();
    } else if (name == "dir") {
      study.dir = text_of(path, node, name);
    } else if (name == "seeds") {
      study.seeds = seeds_of(path, node);
    } else if (name == "warm_start_once") {
      if (!node.is_boolean()) throw_wrong_kind(path, node, name, "true or false");
      study.warm_start_once = node.as_boolean()->get();
    } else if (name == "set") {
      study.set = settings_of(path, node);
    } else if (name == "grid") {
      grid = grid_of(path, node);
    } else if (name == "variant") {
      const auto* array = node.as_array();
      if (!array) throw_wrong_kind(path, node, name, "written as [[variant]]");
      for (const toml::node& element : *array) study.variants.push_back(variant_of(path, element));
    } else {
      throw Error(fmt::format("{}: unknown key {}", place_of(path, node), name),
                  fmt::format("a study has {}", kKeys));
    }
  }
  study.variants.insert(study.variants.end(), grid.begin(), grid.end());
  for (const auto& [name, missing] :
       {std::pair{"base", study.base.empty()}, std::pair{"dir", study.dir.empty()},
        std::pair{"seeds", study.seeds.empty()}, std::pair{"[[variant]]", study.variants.empty()}})
    if (missing)
      throw Error(fmt::format("{}: {} is missing", path, name),
                  fmt::format("a study has {}", kKeys));
  check_names(path, study.variants);
  return study;
}

void set_in_all_runs(StudyFile& study, const std::vector<std::string>& settings) {
  for (const std::string& setting : settings) {
    const std::string_view key = key_of(setting);
    if (key == "train.seed" || key == "train.run_dir")
      throw Error(
          fmt::format("--set {}: each run of a study has its own {}", setting, key),
          fmt::format("change {} in the study's file", key == "train.seed" ? "seeds" : "dir"));
    for (const StudyVariant& variant : study.variants)
      for (const std::string& own : variant.set)
        if (key_of(own) == key)
          throw Error(
              fmt::format("--set {}: variant \"{}\" has its own {}", setting, variant.name, own),
              "--set holds for all runs; change the variant in the study's file");
    study.set.push_back(setting);
  }
}

RunOptions study_run_options(const StudyFile& study, const StudyVariant& variant, int64_t seed,
                             const std::string& run_dir) {
  std::vector<std::string> overrides = study.set;
  overrides.insert(overrides.end(), variant.set.begin(), variant.set.end());
  overrides.push_back(fmt::format("train.seed={}", seed));
  overrides.push_back(fmt::format("train.run_dir={}", value_text(toml::value(run_dir))));
  try {
    return load_options(study.base, overrides);
  } catch (const Error& error) {
    throw Error(fmt::format("variant \"{}\": {}", variant.name, error.what()), error.hint());
  }
}

}  // namespace treepo
