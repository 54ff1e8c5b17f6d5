#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace treepo {

// Writes the fields of one protocol buffer message in wire format
// (https://protobuf.dev/programming-guides/encoding).
class ProtobufWriter {
 public:
  void add_varint(uint32_t field, uint64_t value) {
    tag(field, 0);
    varint(value);
  }
  void add_double(uint32_t field, double value) {
    tag(field, 1);
    fixed(std::bit_cast<uint64_t>(value), 8);
  }
  void add_float(uint32_t field, float value) {
    tag(field, 5);
    fixed(std::bit_cast<uint32_t>(value), 4);
  }
  // A string, bytes or a message.
  void add_bytes(uint32_t field, std::string_view value) {
    tag(field, 2);
    varint(value.size());
    bytes_ += value;
  }
  void add_packed(uint32_t field, std::span<const double> values) {
    tag(field, 2);
    varint(8 * values.size());
    for (const double value : values) fixed(std::bit_cast<uint64_t>(value), 8);
  }

  const std::string& bytes() const { return bytes_; }

 private:
  void tag(uint32_t field, uint32_t wire_type) { varint(field << 3 | wire_type); }
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  void fixed(uint64_t value, int size) {
    for (int i = 0; i < size; ++i) bytes_ += static_cast<char>(value >> (8 * i));
  }

  std::string bytes_;
};

}  // namespace treepo
