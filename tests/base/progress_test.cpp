#include "base/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/log.h"
#include "support/recording_terminal.h"

namespace treepo {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;

TEST(Progress, DrawsABarWithTimeLeft) {
  RecordingTerminal screen(true);
  ScopedTerminal scope(screen.terminal());
  double now = 100;
  {
    Progress progress("train", 100, 0, [&] { return now; });
    progress.update(0);
    EXPECT_THAT(screen.screen(), ElementsAre("train  [>                   ]  0/100"));
    now += 50;
    progress.update(45, "success 43 %");
    EXPECT_THAT(screen.screen(),
                ElementsAre("train  [=========>          ]  45/100  success 43 %  1:01 left"));
    progress.update(100);  // complete: drawn without waiting
    EXPECT_THAT(screen.screen(), ElementsAre("train  [====================]  100/100"));
  }
  EXPECT_THAT(screen.screen(), ElementsAre(""));  // gone with the object
}

TEST(Progress, TimeLeftOfResumedWorkCountsOnlyWhatWasDoneSince) {
  RecordingTerminal screen(true);
  ScopedTerminal scope(screen.terminal());
  double now = 0;
  Progress progress("train", 100, 80, [&] { return now; });
  now = 20;
  progress.update(90);
  EXPECT_THAT(screen.screen().back(), EndsWith("90/100  0:20 left"));
}

TEST(Progress, UnknownTotal) {
  RecordingTerminal screen(true);
  ScopedTerminal scope(screen.terminal());
  Progress progress("read", 0);
  progress.update(1234, "lines");
  EXPECT_THAT(screen.screen(), ElementsAre("read  1,234  lines"));
}

TEST(Progress, RedrawsAtMostTenTimesASecond) {
  RecordingTerminal screen(true);
  ScopedTerminal scope(screen.terminal());
  double now = 0;
  Progress progress("x", 10000, 0, [&] { return now; });
  for (int i = 0; i < 1000; ++i, now += 0.001) progress.update(i);
  const std::string& written = screen.written();
  EXPECT_EQ(std::count(written.begin(), written.end(), '['), 10 + 9);  // bars, and erasures between
}

TEST(Progress, PlainLinesAwayFromATerminal) {
  RecordingTerminal screen(false);
  ScopedTerminal scope(screen.terminal());
  double now = 0;
  {
    Progress progress("train", 100, 0, [&] { return now; });
    for (; now < 31; now += 1) progress.update(static_cast<int64_t>(now));
  }
  const auto lines = screen.screen();
  ASSERT_EQ(lines.size(), 4u);  // after 10, 20 and 30 seconds
  EXPECT_THAT(lines[0], EndsWith("train  10/100  1:30 left"));
  EXPECT_THAT(screen.written(), testing::Not(HasSubstr("\x1b")));
}

TEST(Progress, SilentWhenQuiet) {
  RecordingTerminal screen(true);
  ScopedTerminal scope(screen.terminal());
  set_log_level(LogLevel::warning);
  {
    Progress progress("train", 10);
    progress.update(10);
  }
  set_log_level(LogLevel::info);
  EXPECT_EQ(screen.written(), "");
}

}  // namespace
}  // namespace treepo
