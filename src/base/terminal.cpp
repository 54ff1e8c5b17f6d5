#include "base/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/format.h"

namespace treepo {

namespace {

constexpr std::string_view kEraseLine = "\r\x1b[K";

Terminal* g_terminal = nullptr;  // null: stderr

bool stderr_is_interactive() {
  const char* kind = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) && kind && std::string_view(kind) != "dumb";
}

int stderr_width() {
  winsize size = {};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

void write_to_stderr(std::string_view bytes) {
  std::fwrite(bytes.data(), 1, bytes.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

Terminal::Terminal(Write write, bool interactive, std::function<int()> width)
    : write_(std::move(write)), interactive_(interactive), width_(std::move(width)) {}

std::string Terminal::erase() const {
  return std::string(status_.empty() ? "" : kEraseLine);
}

// One column is left free: a full line would wrap, and then erasing would miss half of it.
std::string Terminal::redraw() const {
  return std::string(truncate_to_width(status_, width_() - 1));
}

void Terminal::write_line(std::string_view line) {
  const std::lock_guard lock(mutex_);
  write_(erase() + std::string(line) + "\n" + redraw());
}

void Terminal::set_status(std::string_view status) {
  const std::lock_guard lock(mutex_);
  if (!interactive_) return;
  const std::string erased = erase();
  status_ = status;
  write_(erased + redraw());
}

void Terminal::clear_status() {
  const std::lock_guard lock(mutex_);
  if (status_.empty()) return;
  write_(erase());
  status_.clear();
}

Terminal& terminal() {
  static Terminal standard_error(write_to_stderr, stderr_is_interactive(), stderr_width);
  return g_terminal ? *g_terminal : standard_error;
}

ScopedTerminal::ScopedTerminal(Terminal& replacement)
    : previous_(std::exchange(g_terminal, &replacement)) {}

ScopedTerminal::~ScopedTerminal() {
  g_terminal = previous_;
}

}  // namespace treepo
