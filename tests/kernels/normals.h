#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "base/random.h"
#include "kernels/bfloat16.h"

namespace treepo {

// x as a number that is stored as S.
template <typename S>
S rounded(double x) {
  if constexpr (std::is_same_v<S, BFloat16>)
    return to_bfloat16(static_cast<float>(x));
  else
    return static_cast<S>(x);
}

// Standard normal numbers, the same for the same seed.
template <typename S>
std::vector<S> normals(uint32_t seed, int64_t count) {
  const RandomStream stream(seed, Purpose::generate);
  std::vector<S> out(static_cast<size_t>(count));
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = rounded<S>(stream.normal(0, static_cast<uint32_t>(i)));
  return out;
}

}  // namespace treepo
