#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace treepo {

// GPT-2's alphabet: every byte has a printable character below U+0144. Bytes that are printable in
// Latin-1 stand for themselves, the others take U+0100… in order: space is "Ġ", newline "Ċ".
std::string to_byte_level(std::string_view bytes);

// The bytes that `text` stands for; nothing if it holds another character.
std::optional<std::string> from_byte_level(std::string_view text);

}  // namespace treepo
