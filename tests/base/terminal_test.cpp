#include "base/terminal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "support/recording_terminal.h"

namespace treepo {
namespace {

using testing::ElementsAre;

TEST(Terminal, LogLinesScrollAboveTheBar) {
  RecordingTerminal screen(true);
  ScopedTerminal scope(screen.terminal());
  screen.terminal().set_status("a long bar that is longer than the line");
  screen.terminal().write_line("short");
  screen.terminal().set_status("bar");
  EXPECT_THAT(screen.screen(), ElementsAre("short", "bar"));
}

TEST(Terminal, TheBarNeverWraps) {
  RecordingTerminal screen(true, 10);
  screen.terminal().set_status("0123456789abcdef");
  EXPECT_THAT(screen.screen(), ElementsAre("012345678"));
}

// Log lines from several threads while a bar is redrawn: every line arrives whole.
TEST(Terminal, NothingTears) {
  RecordingTerminal screen(true);
  ScopedTerminal scope(screen.terminal());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        screen.terminal().set_status("bar " + std::to_string(i));
        screen.terminal().write_line("line of thread " + std::to_string(t) + ".");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto lines = screen.screen();
  ASSERT_EQ(lines.size(), 401u);
  for (size_t i = 0; i < 400; ++i)
    EXPECT_THAT(lines[i], testing::MatchesRegex("line of thread .\\."));
  EXPECT_EQ(lines[400], "bar 99");
}

}  // namespace
}  // namespace treepo
