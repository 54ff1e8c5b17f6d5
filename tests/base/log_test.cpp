#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/recording_terminal.h"

namespace treepo {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

class LogTest : public testing::Test {
 protected:
  ~LogTest() override { set_log_level(LogLevel::info); }

  RecordingTerminal screen_{false};
  ScopedTerminal scope_{screen_.terminal()};
};

TEST_F(LogTest, LinesCarryTheTimeAndNoColourAwayFromATerminal) {
  log_info("step {} of {}", 3, 10);
  log_warning("{} % lost", 5);
  log_error("stop");
  ASSERT_EQ(screen_.screen().size(), 4u);
  EXPECT_THAT(screen_.screen()[0], MatchesRegex("..:..:.. step 3 of 10"));
  EXPECT_THAT(screen_.screen()[1], MatchesRegex("..:..:.. warning: 5 % lost"));
  EXPECT_THAT(screen_.screen()[2], MatchesRegex("..:..:.. error: stop"));
}

TEST_F(LogTest, LevelsDecideWhatIsShown) {
  log_debug("hidden");
  EXPECT_EQ(screen_.written(), "");
  set_log_level(LogLevel::debug);
  log_debug("shown");
  EXPECT_THAT(screen_.written(), HasSubstr("shown"));
  EXPECT_FALSE(is_quiet());
  set_log_level(LogLevel::warning);
  EXPECT_TRUE(is_quiet());
  log_info("hidden");
  log_warning("kept");
  EXPECT_THAT(screen_.written(), testing::Not(HasSubstr("hidden")));
  EXPECT_THAT(screen_.written(), HasSubstr("kept"));
}

TEST(Log, WarningsAreColouredOnATerminal) {
  RecordingTerminal screen(true);
  ScopedTerminal scope(screen.terminal());
  log_warning("careful");
  EXPECT_THAT(screen.written(), HasSubstr("\x1b[33mwarning:\x1b[0m careful"));
}

TEST(Log, BracesInAMessageAreNoFormat) {
  RecordingTerminal screen(false);
  ScopedTerminal scope(screen.terminal());
  log_message(LogLevel::info, "{} %v");
  EXPECT_THAT(screen.written(), HasSubstr("{} %v"));
}

}  // namespace
}  // namespace treepo
