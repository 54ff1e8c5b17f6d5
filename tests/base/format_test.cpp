#include "base/format.h"

#include <gtest/gtest.h>

namespace treepo {
namespace {

TEST(Format, Numbers) {
  EXPECT_EQ(with_thousands(0), "0");
  EXPECT_EQ(with_thousands(999), "999");
  EXPECT_EQ(with_thousands(1000), "1,000");
  EXPECT_EQ(with_thousands(-123456), "-123,456");
  EXPECT_EQ(with_thousands(1234567), "1,234,567");
  EXPECT_EQ(format_duration(0.42), "0.4s");
  EXPECT_EQ(format_duration(64.4), "1:04");
  EXPECT_EQ(format_duration(3700), "1:01:40");
  EXPECT_EQ(format_duration(1.0 / 0.0), "?");
  EXPECT_EQ(truncate_to_width("a\xc3\xa9z", 2), "a\xc3\xa9");
  EXPECT_EQ(truncate_to_width("ab", 5), "ab");
  EXPECT_EQ(character_count("a\xc3\xa9z"), 3);
  EXPECT_EQ(shell_quoted("a \"b\" it's"), R"('a "b" it'\''s')");
  EXPECT_EQ(shell_quoted("runs/a-b_c.1=2:3,@%+"), "runs/a-b_c.1=2:3,@%+");
  for (const std::string word : {"", "~", "a b", "$a", "a*", "a;b", "a\xc3\xa9"})
    EXPECT_EQ(shell_quoted(word), "'" + word + "'");
}

}  // namespace
}  // namespace treepo
