#include "config/growth_options.h"

#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <string_view>

#include "base/files.h"

namespace treepo {
namespace {

// Enum and names are two lists. Whoever adds a value in one of them only, or in another order,
// shifts the last name.
template <typename E>
void expect_last(E last, std::string_view name) {
  ASSERT_EQ(kEnumNames<E>.size(), static_cast<size_t>(last) + 1);
  EXPECT_EQ(enum_name(last), name);
}

TEST(GrowthOptions, EveryValueHasItsName) {
  expect_last(BudgetPolicy::tokens_per_step, "tokens_per_step");
  expect_last(WidthLimit::tokens, "tokens");
  expect_last(BudgetSplit::high_value, "high_value");
  expect_last(TemperatureSchedule::descending, "descending");
  expect_last(PrunePolicy::value, "value");
  expect_last(FallbackPolicy::from_start, "from_start");
  expect_last(FallbackFrom::long_answers, "long_answers");
}

// Headings of the section "## title": names, separated by commas, with what tells equal ones apart
// in parentheses.
template <typename E>
void expect_paragraphs(const std::string& title) {
  const std::string text = read_file(TREEPO_SOURCE_DIR "/docs/policies.md");
  const size_t begin = text.find("\n## " + title + "\n");
  ASSERT_NE(begin, std::string::npos) << title;
  const std::string section = text.substr(begin, text.find("\n## ", begin + 1) - begin);
  for (const std::string_view name : kEnumNames<E>) {
    const std::regex heading("\n### (\\w+, )*" + std::string(name) + "(, \\w+)*( \\(\\w+\\))?\n");
    EXPECT_TRUE(std::regex_search(section, heading)) << title << ": " << name;
  }
}

TEST(GrowthOptions, EveryValueHasAParagraph) {
  expect_paragraphs<BudgetPolicy>("Budget");
  expect_paragraphs<WidthLimit>("Limit");
  expect_paragraphs<BudgetSplit>("Divergence");
  expect_paragraphs<TemperatureSchedule>("Temperature of divergence");
  expect_paragraphs<PrunePolicy>("Pruning");
  expect_paragraphs<FallbackPolicy>("Fallback: where");
  expect_paragraphs<FallbackFrom>("Fallback: in which trajectories");
}

}  // namespace
}  // namespace treepo
