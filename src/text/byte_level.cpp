#include "text/byte_level.h"

#include <array>
#include <cstdint>

#include "text/utf8.h"

namespace treepo {

namespace {

constexpr size_t kAlphabetEnd = 0x144;

struct ByteAlphabet {
  std::array<std::string, 256> character;  // of a byte, in UTF-8
  std::array<int16_t, kAlphabetEnd> byte;  // of a character, -1 for none
};

const ByteAlphabet& byte_alphabet() {
  static const ByteAlphabet alphabet = [] {
    ByteAlphabet made;
    made.byte.fill(-1);
    char32_t next = 0x100;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xFF && b != 0xAD);
      const char32_t c = printable ? static_cast<char32_t>(b) : next++;
      append_utf8(c, made.character[static_cast<size_t>(b)]);
      made.byte[c] = static_cast<int16_t>(b);
    }
    return made;
  }();
  return alphabet;
}

}  // namespace

std::string to_byte_level(std::string_view bytes) {
  const ByteAlphabet& alphabet = byte_alphabet();
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 4);
  for (const char byte : bytes) out += alphabet.character[static_cast<unsigned char>(byte)];
  return out;
}

std::optional<std::string> from_byte_level(std::string_view text) {
  const ByteAlphabet& alphabet = byte_alphabet();
  std::string out;
  for (size_t offset = 0; offset < text.size();) {
    const char32_t c = next_code_point(text, offset);
    if (c >= kAlphabetEnd || alphabet.byte[c] < 0) return std::nullopt;
    out += static_cast<char>(alphabet.byte[c]);
  }
  return out;
}

}  // namespace treepo
