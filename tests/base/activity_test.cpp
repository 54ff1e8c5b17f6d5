#include "base/activity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "base/log.h"
#include "base/terminal.h"

namespace treepo {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

// A terminal that several threads write to, and one waits for.
class SharedTerminal {
 public:
  explicit SharedTerminal(bool interactive)
      : terminal_([this](std::string_view bytes) { take(bytes); }, interactive, [] { return 80; }),
        scope_(terminal_) {}

  void wait_for_text() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !text_.empty(); });
  }
  std::string text() {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  void take(std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    text_ += bytes;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string text_;
  Terminal terminal_;
  ScopedTerminal scope_;
};

TEST(Activity, ShortWorkShowsNothing) {
  SharedTerminal terminal(true);
  { const Activity activity("load", 60); }
  EXPECT_EQ(terminal.text(), "");
}

TEST(Activity, ATerminalShowsTheTimeAndIsLeftClean) {
  SharedTerminal terminal(true);
  {
    const Activity activity("load", 0);
    terminal.wait_for_text();
  }
  EXPECT_THAT(terminal.text(), HasSubstr("load  0"));
  EXPECT_THAT(terminal.text(), EndsWith("\r\x1b[K"));
}

TEST(Activity, ElsewhereOnePlainLine) {
  SharedTerminal terminal(false);
  {
    const Activity activity("load", 0);
    terminal.wait_for_text();
  }
  EXPECT_THAT(terminal.text(), EndsWith("load …\n"));
}

TEST(Activity, QuietIsQuiet) {
  SharedTerminal terminal(true);
  set_log_level(LogLevel::warning);
  { const Activity activity("load", 0); }
  set_log_level(LogLevel::info);
  EXPECT_EQ(terminal.text(), "");
}

}  // namespace
}  // namespace treepo
