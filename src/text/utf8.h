#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace treepo {

// The longest start of a text that could be one character of UTF-8.
struct Utf8Unit {
  size_t length = 0;   // bytes, 0 only for an empty text
  bool valid = false;  // these bytes are one whole character
  bool cut = false;    // these bytes begin a character, and the text ends before it does
};
Utf8Unit scan_utf8(std::string_view bytes);

// Bytes before the first that is not valid UTF-8; bytes.size() if all are.
size_t valid_utf8_prefix(std::string_view bytes);

// The character of valid UTF-8 at `offset`, which moves past it.
char32_t next_code_point(std::string_view valid, size_t& offset);

// Where the character of valid UTF-8 that ends at `end` (more than 0) begins.
size_t previous_character(std::string_view valid, size_t end);

void append_utf8(char32_t code_point, std::string& out);

// Appends `bytes` with every longest start of a character that does not go on, and every other
// wrong byte, replaced by one U+FFFD (the rule of the Unicode standard, section 3.9, and of Rust's
// from_utf8_lossy). Unless `at_end`, a character that is cut off by the end of `bytes` is left out.
// Returns how many bytes were taken.
size_t append_lossy_utf8(std::string_view bytes, bool at_end, std::string& out);

}  // namespace treepo
