#include "config/declare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <string>
#include <vector>

#include "base/files.h"

namespace treepo {
namespace {

// Names of the data members in a struct's text: "int64_t a = 1, b;" gives a and b.
std::vector<std::string> member_names(std::string body) {
  body = std::regex_replace(body, std::regex("//[^\n]*"), "");
  std::vector<std::string> names;
  const std::regex member(R"(([\w:<>]+)\s+([^;]*);)");
  for (std::sregex_iterator it(body.begin(), body.end(), member), end; it != end; ++it) {
    const std::string declarators = (*it)[2];
    const std::regex name(R"((\w+)\s*(=\s*[^,]*|\{\})?(,|$))");
    for (std::sregex_iterator n(declarators.begin(), declarators.end(), name); n != end; ++n)
      names.push_back((*n)[1]);
  }
  return names;
}

// Types of the data members: "ModelOptions model;" gives model -> ModelOptions.
std::map<std::string, std::string> member_types(const std::string& body) {
  std::map<std::string, std::string> types;
  const std::regex member(R"((\w+) (\w+);)");
  for (std::sregex_iterator it(body.begin(), body.end(), member), end; it != end; ++it)
    types[(*it)[2]] = (*it)[1];
  return types;
}

// A field of the options that nobody declares would be an option that does not exist: so the
// headers' own text is compared with the table.
TEST(Declare, EveryFieldOfEveryStructIsAnOptionInTheSameOrder) {
  const std::string header = read_file(TREEPO_SOURCE_DIR "/src/config/options.h") +
                             read_file(TREEPO_SOURCE_DIR "/src/config/growth_options.h");
  std::map<std::string, std::string> bodies;
  const std::regex definition(R"(struct (\w+) \{([\s\S]*?)\n\};)");
  for (std::sregex_iterator it(header.begin(), header.end(), definition), end; it != end; ++it)
    bodies[(*it)[1]] = (*it)[2];
  ASSERT_TRUE(bodies.contains("RunOptions"));

  std::vector<std::string> expected;
  const auto types = member_types(bodies["RunOptions"]);
  for (const std::string& section : member_names(bodies["RunOptions"]))
    for (const std::string& field : member_names(bodies[types.at(section)]))
      expected.push_back(section + "." + field);

  RunOptions options;
  const OptionTable table = declare_options(options);
  std::vector<std::string> declared;
  for (const Option& option : table.options()) declared.push_back(option.key);
  EXPECT_EQ(declared, expected);
}

TEST(Declare, DefaultsLieInTheirOwnRanges) {
  RunOptions options;
  const OptionTable table = declare_options(options);
  for (const Option& option : table.options()) {
    EXPECT_EQ(option.set(option.get()), "") << option.key;
    EXPECT_FALSE(option.help.empty()) << option.key;
    EXPECT_EQ(option.help.find('\n'), std::string::npos) << option.key;
  }
}

}  // namespace
}  // namespace treepo
