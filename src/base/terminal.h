#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>

namespace treepo {

// stderr as log lines and a progress bar share it: lines scroll, one status line stays below them.
// The lock is held from erasing the bar to drawing it again, so nothing tears.
class Terminal {
 public:
  using Write = std::function<void(std::string_view)>;

  // interactive: a person's terminal, where lines can be redrawn. width(): its columns now.
  Terminal(Write write, bool interactive, std::function<int()> width);

  bool is_interactive() const { return interactive_; }

  void write_line(std::string_view line);    // no newline at its end
  void set_status(std::string_view status);  // cut to the width; interactive terminals only
  void clear_status();

 private:
  std::string erase() const;  // brings the cursor to an empty last line
  std::string redraw() const;

  Write write_;
  bool interactive_;
  std::function<int()> width_;
  std::mutex mutex_;
  std::string status_;
};

Terminal& terminal();  // stderr, unless a ScopedTerminal is alive

// Puts another terminal in place for a scope: for tests.
class ScopedTerminal {
 public:
  explicit ScopedTerminal(Terminal& replacement);
  ~ScopedTerminal();
  ScopedTerminal(const ScopedTerminal&) = delete;
  ScopedTerminal& operator=(const ScopedTerminal&) = delete;

 private:
  Terminal* previous_;
};

}  // namespace treepo
