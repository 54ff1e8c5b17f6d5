#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace treepo {

// What a user can cause: bad input, a full disk, a missing file. The message says what is wrong and
// where (file, key, byte); the hint says what to do about it. Libraries throw it, `main` prints it.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, std::string hint = "")
      : std::runtime_error(message), hint_(std::move(hint)) {}

  const std::string& hint() const { return hint_; }

 private:
  std::string hint_;
};

// What only a bug can cause. Not derived from Error, so that no handler for bad input hides it.
class CheckFailure : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] void check_failed(const char* condition, const char* file, int line,
                               const std::string& message);

}  // namespace treepo

// TREEPO_CHECK(i < n, "row {} of {}", i, n): throws CheckFailure when a rule of the program's own
// is broken. On in all builds: use it where it costs nothing beside the work around it.
#define TREEPO_CHECK(condition, ...)                                                      \
  do {                                                                                    \
    if (!(condition)) [[unlikely]]                                                        \
      ::treepo::check_failed(#condition, __FILE__, __LINE__, ::fmt::format(__VA_ARGS__)); \
  } while (false)
