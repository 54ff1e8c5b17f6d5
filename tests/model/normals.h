#pragma once

#include <ATen/ATen.h>

#include "base/random.h"

namespace treepo {

// Standard normal numbers in double precision, the same for the same seed.
inline at::Tensor normals(uint64_t seed, at::IntArrayRef shape) {
  const RandomStream stream(seed, Purpose::generate);
  at::Tensor x = at::empty(shape, at::kDouble);
  for (int64_t i = 0; i < x.numel(); ++i)
    x.mutable_data_ptr<double>()[i] = stream.normal(0, static_cast<uint32_t>(i));
  return x;
}

}  // namespace treepo
