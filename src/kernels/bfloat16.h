#pragma once

#include <cstdint>
#include <cstring>

namespace treepo {

// A number as stored: the upper half of a float. Kernels compute in float and round on the way out.
struct BFloat16 {
  uint16_t bits;
};

inline float to_float(BFloat16 x) {
  const uint32_t bits = uint32_t{x.bits} << 16;
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// To the nearest, ties to even; NaN stays NaN.
inline BFloat16 to_bfloat16(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  if (value != value) return {0x7fc0};
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

// What a kernel computes in where it stores S.
template <typename S>
struct ArithmeticOf {
  using type = S;
};
template <>
struct ArithmeticOf<BFloat16> {
  using type = float;
};
template <typename S>
using Arithmetic = typename ArithmeticOf<S>::type;

}  // namespace treepo
