#include "config/save.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <sstream>

#include "base/files.h"
#include "base/random.h"
#include "config/declare.h"
#include "config/load.h"

namespace treepo {
namespace {

using testing::HasSubstr;
using testing::Not;

// Random values of each kind, with what is hard to write: quotes, controls, all doubles.
class ValueMaker {
 public:
  explicit ValueMaker(uint64_t seed) : stream_(seed, Purpose::generate) {}

  // A value of the option's kind, mostly in its range.
  OptionValue value_for(const Option& option) {
    const OptionValue now = option.get();
    if (std::holds_alternative<bool>(now)) return below(2) == 1;
    if (std::holds_alternative<int64_t>(now)) return integer();
    if (std::holds_alternative<double>(now)) return number();
    if (std::holds_alternative<std::string>(now))
      return option.range == "text" ? text() : choice(option.range);
    std::vector<std::string> texts(static_cast<size_t>(below(4)));
    for (std::string& one : texts) one = text();
    return texts;
  }

 private:
  int64_t below(int64_t count) { return stream_.integer(0, count - 1, 0, draws_++); }
  uint64_t bits() { return stream_.bits(1, draws_++); }

  int64_t integer() {
    return below(2) ? below(100) : static_cast<int64_t>(bits() >> (1 + below(63)));
  }

  double number() {
    switch (below(4)) {
      case 0:
        return static_cast<double>(below(10)) / 10;
      case 1:
        return stream_.uniform(2, draws_++);
      case 2:
        return std::abs(std::bit_cast<double>(bits()));  // any exponent; NaN is refused
      default:
        return static_cast<double>(integer());
    }
  }

  std::string text() {
    constexpr const char* pieces[] = {"a",
                                      "\"",
                                      "'",
                                      "\\",
                                      "\n",
                                      "\t",
                                      "\r",
                                      "\x01",
                                      "\x7f",
                                      "#",
                                      "]",
                                      "=",
                                      " ",
                                      "1",
                                      "\xc3\xa9",
                                      "\xe2\x82\xac",
                                      "\xf0\x9f\x8c\xb3",
                                      "\b",
                                      "\f",
                                      "\x1b",
                                      "\xe2\x80\xa8"};
    std::string out;
    for (int64_t length = below(8); length > 0; --length)
      out += pieces[below(static_cast<int64_t>(std::size(pieces)))];
    return out;
  }

  std::string choice(const std::string& range) {
    std::vector<std::string> names;
    std::istringstream list(range);
    for (std::string name; std::getline(list >> std::ws, name, ',');) names.push_back(name);
    return names[static_cast<size_t>(below(static_cast<int64_t>(names.size())))];
  }

  RandomStream stream_;
  uint32_t draws_ = 0;
};

bool same_bits(const OptionValue& a, const OptionValue& b) {
  const auto* x = std::get_if<double>(&a);
  const auto* y = std::get_if<double>(&b);
  if (x && y) return std::bit_cast<uint64_t>(*x) == std::bit_cast<uint64_t>(*y);
  return a == b;
}

TEST(Save, LoadsBackBitByBit) {
  int64_t changed = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    ValueMaker maker(seed);
    RunOptions saved, loaded;
    const OptionTable saved_table = declare_options(saved), loaded_table = declare_options(loaded);
    for (const Option& option : saved_table.options())
      changed += option.set(maker.value_for(option)).empty();
    apply_toml(loaded_table, options_as_toml(saved), "saved");
    for (size_t i = 0; i < saved_table.options().size(); ++i) {
      const Option& option = saved_table.options()[i];
      ASSERT_TRUE(same_bits(option.get(), loaded_table.options()[i].get()))
          << option.key << " = " << option.value_text() << ", seed " << seed;
    }
    EXPECT_EQ(options_as_toml(loaded), options_as_toml(saved));
  }
  EXPECT_GT(changed, 300 * 50);  // most values that were made were in range
}

// The same through --set, which a shell script would do with values read from a file.
TEST(Save, OverridesWithSavedValuesGiveTheSame) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    ValueMaker maker(seed);
    RunOptions saved, loaded;
    const OptionTable saved_table = declare_options(saved), loaded_table = declare_options(loaded);
    for (const Option& option : saved_table.options()) option.set(maker.value_for(option));
    for (const Option& option : saved_table.options())
      apply_override(loaded_table, option.key + "=" + option.value_text());
    EXPECT_EQ(options_as_toml(loaded), options_as_toml(saved));
  }
}

TEST(Save, TomlHoldsSectionsInOrderWithHelp) {
  const std::string text = options_as_toml(RunOptions());
  EXPECT_THAT(text, HasSubstr("\n[rollout]  # How the tree of answers to one query grows.\n"
                              "# trajectories wanted for each query\nwidth = 16\n"));
  EXPECT_LT(text.find("[model]"), text.find("[data]"));
  EXPECT_LT(text.find("[train]"), text.find("[evaluate]"));
}

TEST(Save, TextListsAllOrSome) {
  const std::string all = options_as_text(), some = options_as_text("rollout.dep");
  RunOptions options;
  const OptionTable table = declare_options(options);
  for (const Option& option : table.options())
    EXPECT_THAT(all, HasSubstr("  " + option.key + " = "));
  EXPECT_EQ(some,
            "[rollout] How the tree of answers to one query grows.\n"
            "  rollout.depth = 14   (1 or more)\n"
            "      largest number of segments on a path\n");
  EXPECT_EQ(options_as_text("nothing has this"), "");
}

TEST(Save, DocumentationIsUpToDate) {
  EXPECT_EQ(read_file(TREEPO_SOURCE_DIR "/docs/options.md"), options_as_markdown())
      << "run: treepo options --markdown > docs/options.md";
}

TEST(Save, MarkdownTables) {
  const std::string text = options_as_markdown();
  EXPECT_THAT(text, HasSubstr("## rollout\n"));
  EXPECT_THAT(text, HasSubstr("| `rollout.width` | `16` | 1 or more | trajectories wanted for "
                              "each query |\n"));
  EXPECT_THAT(text, HasSubstr("| `train.max_steps` ↻ |"));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("|")) {
      EXPECT_EQ(std::count(line.begin(), line.end(), '|'), 5) << line;
    }
}

}  // namespace
}  // namespace treepo
