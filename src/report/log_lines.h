#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace treepo {

// A line of a log by its place in the file, without the newline.
struct LogLine {
  uint64_t offset = 0;  // bytes
  std::string_view text;
  int64_t number = 0;     // from 1
  bool complete = false;  // ends with a newline: the writer is done with it
};

// Calls `visit` for each line of a file that may still be written; holds one line at a time.
void for_each_line(const std::string& path, const std::function<void(const LogLine&)>& visit);

}  // namespace treepo
