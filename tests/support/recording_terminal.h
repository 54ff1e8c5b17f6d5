#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/terminal.h"

namespace treepo {

// A terminal of the given width that keeps what is written to it, and what a person would see.
class RecordingTerminal {
 public:
  explicit RecordingTerminal(bool interactive, int width = 80)
      : terminal_([this](std::string_view bytes) { written_.append(bytes); }, interactive,
                  [width] { return width; }) {}

  Terminal& terminal() { return terminal_; }
  const std::string& written() const { return written_; }

  // Lines on the screen: "\r" and "\x1b[K" are obeyed as a terminal does. The last is the status.
  std::vector<std::string> screen() const {
    std::vector<std::string> lines(1);
    size_t column = 0;
    for (size_t i = 0; i < written_.size(); ++i) {
      std::string& line = lines.back();
      if (written_[i] == '\n') {
        lines.emplace_back();
        column = 0;
      } else if (written_[i] == '\r') {
        column = 0;
      } else if (written_.compare(i, 3, "\x1b[K") == 0) {
        line.resize(column);
        i += 2;
      } else {
        line.resize(std::max(line.size(), column + 1), ' ');
        line[column++] = written_[i];
      }
    }
    return lines;
  }

 private:
  std::string written_;
  Terminal terminal_;
};

}  // namespace treepo
