#include "base/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "base/terminal.h"

namespace treepo {

namespace {

constexpr std::string_view kYellow = "\x1b[33m", kRed = "\x1b[31m", kReset = "\x1b[0m";

std::atomic<LogLevel> g_level{LogLevel::info};

// Hands formatted lines to the terminal, which keeps them apart from the progress bar.
class TerminalSink : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    terminal().write_line({line.data(), line.size()});
  }
  void flush_() override {}
};

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = std::make_shared<spdlog::logger>("treepo", std::make_shared<TerminalSink>());
    made->set_level(spdlog::level::trace);  // log_message has sorted out what is shown
    made->set_formatter(std::make_unique<spdlog::pattern_formatter>(
        "%H:%M:%S %v", spdlog::pattern_time_type::local, ""));
    return made;
  }();
  return *instance;
}

std::string marked(std::string_view mark, std::string_view colour, std::string_view message) {
  if (!terminal().is_interactive()) return fmt::format("{}: {}", mark, message);
  return fmt::format("{}{}:{} {}", colour, mark, kReset, message);
}

}  // namespace

void set_log_level(LogLevel level) {
  g_level = level;
}
LogLevel log_level() {
  return g_level;
}

void log_message(LogLevel level, std::string_view message) {
  if (level < log_level()) return;
  switch (level) {
    case LogLevel::debug:
      return logger().log(spdlog::level::debug, message);
    case LogLevel::info:
      return logger().log(spdlog::level::info, message);
    case LogLevel::warning:
      return logger().log(spdlog::level::warn, marked("warning", kYellow, message));
    case LogLevel::error:
      return logger().log(spdlog::level::err, marked("error", kRed, message));
  }
}

}  // namespace treepo
