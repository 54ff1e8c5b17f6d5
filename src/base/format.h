#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace treepo {

std::string with_thousands(int64_t value);  // 1234567 -> "1,234,567"

// 0.42 -> "0.4s", 64 -> "1:04", 3700 -> "1:01:40"
std::string format_duration(double seconds);

// The first `width` characters (code points) of UTF-8 text, never half of one.
std::string_view truncate_to_width(std::string_view text, int width);
int character_count(std::string_view utf8);

// One word for a shell, whatever characters it has: runs/a=1 -> runs/a=1, it's -> 'it'\''s'
std::string shell_quoted(std::string_view word);

}  // namespace treepo
