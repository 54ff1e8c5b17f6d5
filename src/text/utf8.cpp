#include "text/utf8.h"

namespace treepo {

Utf8Unit scan_utf8(std::string_view bytes) {
  if (bytes.empty()) return {};
  const auto lead = static_cast<unsigned char>(bytes[0]);
  if (lead < 0x80) return {.length = 1, .valid = true};
  if (lead < 0xC2 || lead > 0xF4) return {.length = 1};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF.
  unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) return {.length = i, .cut = true};
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (byte < low || byte > high) return {.length = i};
    low = 0x80;
    high = 0xBF;
  }
  return {.length = length, .valid = true};
}

size_t valid_utf8_prefix(std::string_view bytes) {
  size_t offset = 0;
  while (offset < bytes.size()) {
    const Utf8Unit unit = scan_utf8(bytes.substr(offset));
    if (!unit.valid) return offset;
    offset += unit.length;
  }
  return offset;
}

char32_t next_code_point(std::string_view valid, size_t& offset) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(valid[offset + i]); };
  const char32_t lead = byte(0);
  if (lead < 0x80) {
    offset += 1;
    return lead;
  }
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t code_point = lead & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) code_point = code_point << 6 | (byte(i) & 0x3Fu);
  offset += length;
  return code_point;
}

size_t previous_character(std::string_view valid, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && (static_cast<unsigned char>(valid[begin]) & 0xC0) == 0x80) --begin;
  return begin;
}

void append_utf8(char32_t code_point, std::string& out) {
  const auto tail = [&](int shift) {
    out += static_cast<char>(0x80 | ((code_point >> shift) & 0x3F));
  };
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    out += static_cast<char>(0xC0 | code_point >> 6);
    tail(0);
  } else if (code_point < 0x10000) {
    out += static_cast<char>(0xE0 | code_point >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | code_point >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

size_t append_lossy_utf8(std::string_view bytes, bool at_end, std::string& out) {
  size_t offset = 0;
  while (offset < bytes.size()) {
    const Utf8Unit unit = scan_utf8(bytes.substr(offset));
    if (unit.cut && !at_end) break;
    if (unit.valid) {
      out += bytes.substr(offset, unit.length);
    } else {
      append_utf8(0xFFFD, out);
    }
    offset += unit.length;
  }
  return offset;
}

}  // namespace treepo
