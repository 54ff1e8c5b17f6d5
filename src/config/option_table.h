#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "config/enum_names.h"

namespace treepo {

// A value as TOML has it; enums are strings.
using OptionValue = std::variant<bool, int64_t, double, std::string, std::vector<std::string>>;

// The value as it is written in a TOML file. Doubles take the fewest digits that read back exactly.
std::string to_toml(const OptionValue& value);

inline constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

// Allowed values, ends included.
struct IntRange {
  int64_t min = 0;
  int64_t max = kNoLimit;
};

struct DoubleRange {
  double min = 0;
  double max = std::numeric_limits<double>::infinity();
  bool above_min = false;  // min itself is not allowed
  bool below_max = false;
};

enum class OnResume { fixed, may_change };

// One option: a key bound to a field of the options that the table was made for.
struct Option {
  std::string key;   // "rollout.width"
  std::string help;  // one line, with the unit
  OnResume on_resume = OnResume::fixed;
  std::string range;        // allowed values in words: "1 or more", "none, random"
  bool takes_text = false;  // any text is a value

  std::function<OptionValue()> get;
  // Empty if the value is of the right type and in range and was stored; otherwise what it must be.
  std::function<std::string(const OptionValue&)> set;

  std::string section() const { return key.substr(0, key.find('.')); }
  std::string field() const { return key.substr(key.find('.') + 1); }
  std::string value_text() const { return to_toml(get()); }
};

struct OptionSection {
  std::string name;
  std::string help;
};

// Every option of a RunOptions, in the order of declaration. Holds pointers into it.
class OptionTable {
 public:
  // The options that are added next belong to it.
  void begin_section(std::string name, std::string help);

  void add(std::string_view field, int64_t& target, IntRange range, std::string help,
           OnResume on_resume = OnResume::fixed);
  void add(std::string_view field, double& target, DoubleRange range, std::string help,
           OnResume on_resume = OnResume::fixed);
  void add(std::string_view field, bool& target, std::string help,
           OnResume on_resume = OnResume::fixed);
  void add(std::string_view field, std::string& target, std::string help,
           OnResume on_resume = OnResume::fixed);
  void add(std::string_view field, std::vector<std::string>& target, std::string help,
           OnResume on_resume = OnResume::fixed);
  // A list that may also be given as one text; "" is the empty list.
  void add_texts(std::string_view field, std::vector<std::string>& target, std::string help,
                 OnResume on_resume = OnResume::fixed);
  // A string that must be one of these.
  void add_choice(std::string_view field, std::string& target, std::vector<std::string> choices,
                  std::string help, OnResume on_resume = OnResume::fixed);
  // A string for which `matches` is true; `range` says in words which are.
  void add_pattern(std::string_view field, std::string& target, std::string range,
                   std::function<bool(const std::string&)> matches, std::string help,
                   OnResume on_resume = OnResume::fixed);
  template <typename E>
  void add_enum(std::string_view field, E& target, std::string help,
                OnResume on_resume = OnResume::fixed) {
    static_assert(!kEnumNames<E>.empty());
    add_names(
        field, kEnumNames<E>, [&target] { return std::string(enum_name(target)); },
        [&target](size_t index) { target = static_cast<E>(index); }, std::move(help), on_resume);
  }

  const std::vector<OptionSection>& sections() const { return sections_; }
  const std::vector<Option>& options() const { return options_; }
  const Option* find(std::string_view key) const;  // null if there is none
  bool has_section(std::string_view name) const;

  // The key that someone who wrote `key` most likely meant: by edit distance, also where only the
  // section is wrong or missing.
  const std::string& nearest_key(std::string_view key) const;

  // Stores a value. Throws Error "PLACE: KEY must be …, but is …"; `place` is file and line, or the
  // command line's argument.
  void set(const std::string& key, const OptionValue& value, const std::string& place) const;
  [[noreturn]] void throw_unknown_key(const std::string& key, const std::string& place) const;

 private:
  Option& add_option(std::string_view field, std::string range, std::string help,
                     OnResume on_resume);
  void add_names(std::string_view field, std::span<const std::string_view> names,
                 std::function<std::string()> get, std::function<void(size_t)> set,
                 std::string help, OnResume on_resume);

  std::vector<OptionSection> sections_;
  std::vector<Option> options_;
};

// Levenshtein's distance with swaps of neighbours; case and "-" against "_" do not count.
int edit_distance(std::string_view a, std::string_view b);

}  // namespace treepo
