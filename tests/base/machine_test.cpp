#include "base/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace treepo {
namespace {

TEST(Machine, SaysWhatTheSystemSays) {  // of machines with a /proc
  EXPECT_GE(cpu_cores(), 1);
  EXPECT_THAT(system_name(), testing::HasSubstr("Linux"));
  EXPECT_GT(free_disk_bytes("."), 0);
  EXPECT_GT(free_disk_bytes("a/folder/that/is/not/there/yet"), 0);
  EXPECT_TRUE(std::filesystem::exists(program_folder()));
  EXPECT_THAT(program_version(), testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_THAT(utc_time_now(), testing::MatchesRegex("20[0-9-]+T[0-9:]+Z"));
}

TEST(Machine, ArgumentsOfThisProcess) {
  const std::vector<std::string> arguments = process_arguments();
  ASSERT_FALSE(arguments.empty());
  EXPECT_THAT(arguments.front(), testing::HasSubstr("test_base"));
}

}  // namespace
}  // namespace treepo
