#pragma once

#include <cstdint>
#include <string_view>

namespace treepo {

// CRC-32 with Castagnoli's polynomial (RFC 3720, appendix B.4).
uint32_t crc32c(std::string_view bytes);

}  // namespace treepo
