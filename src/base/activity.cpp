#include "base/activity.h"

#include <chrono>
#include <utility>

#include "base/format.h"
#include "base/log.h"
#include "base/terminal.h"
#include "base/timer.h"

namespace treepo {

Activity::Activity(std::string label, double first_seconds) : label_(std::move(label)) {
  if (!is_quiet()) shower_ = std::thread([this, first_seconds] { show(first_seconds); });
}

Activity::~Activity() {
  if (!shower_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  ended_.notify_one();
  shower_.join();
}

void Activity::show(double first_seconds) {
  using Seconds = std::chrono::duration<double>;
  constexpr Seconds kRedraw{0.5};
  const Timer timer;
  std::unique_lock lock(mutex_);
  const auto done = [this] { return done_; };
  if (ended_.wait_for(lock, Seconds(first_seconds), done)) return;
  if (!terminal().is_interactive()) return log_info("{} …", label_);
  do {
    terminal().set_status(label_ + "  " + format_duration(timer.seconds()));
  } while (!ended_.wait_for(lock, kRedraw, done));
  terminal().clear_status();
}

}  // namespace treepo
