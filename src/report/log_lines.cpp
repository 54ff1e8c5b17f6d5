#include "report/log_lines.h"

#include "base/files.h"

namespace treepo {

void for_each_line(const std::string& path, const std::function<void(const LogLine&)>& visit) {
  constexpr size_t kChunkBytes = size_t{1} << 20;
  const auto file = file_system().open_for_reading(path);
  std::string buffer, chunk(kChunkBytes, '\0');
  uint64_t offset = 0;  // of buffer's first byte
  int64_t number = 0;
  while (const size_t count = file->read(chunk)) {
    size_t searched = buffer.size(), begin = 0;
    buffer.append(chunk, 0, count);
    for (size_t end; (end = buffer.find('\n', searched)) != std::string::npos;) {
      visit({.offset = offset + begin,
             .text = std::string_view(buffer).substr(begin, end - begin),
             .number = ++number,
             .complete = true});
      searched = begin = end + 1;
    }
    buffer.erase(0, begin);
    offset += begin;
  }
  if (!buffer.empty()) visit({.offset = offset, .text = buffer, .number = number + 1});
}

}  // namespace treepo
