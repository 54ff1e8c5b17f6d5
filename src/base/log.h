#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace treepo {

// Messages to the person who runs treepo, on stderr, one line each, above any progress bar. Results
// that a command was asked for go to stdout and are not log messages.
enum class LogLevel { debug, info, warning, error };

// The least level that is shown; info until set. From `warning` on (--quiet) progress is silent
// too.
void set_log_level(LogLevel level);
LogLevel log_level();
inline bool is_quiet() {
  return log_level() > LogLevel::info;
}

void log_message(LogLevel level, std::string_view message);

template <typename... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  if (log_level() <= LogLevel::debug)
    log_message(LogLevel::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_message(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_message(LogLevel::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log_message(LogLevel::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace treepo
