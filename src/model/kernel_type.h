#pragma once

#include <ATen/core/Tensor.h>

#include <type_traits>

#include "kernels/bfloat16.h"

namespace treepo {

// What the CPU kernels store: float32, float64 and bfloat16.
inline bool is_kernel_type(c10::ScalarType type) {
  return type == at::kFloat || type == at::kDouble || type == at::kBFloat16;
}

// Calls f(S{}) with the type that the tensor's elements have in kernels/.
template <typename F>
void with_kernel_type(const at::Tensor& x, const F& f) {
  if (x.scalar_type() == at::kDouble)
    f(double{});
  else if (x.scalar_type() == at::kBFloat16)
    f(BFloat16{});
  else
    f(float{});
}

template <typename S>
using TensorElement = std::conditional_t<std::is_same_v<S, BFloat16>, c10::BFloat16, S>;

template <typename S>
const S* const_elements(const at::Tensor& x) {
  return reinterpret_cast<const S*>(x.const_data_ptr<TensorElement<S>>());
}
template <typename S>
S* mutable_elements(at::Tensor& x) {
  return reinterpret_cast<S*>(x.mutable_data_ptr<TensorElement<S>>());
}

}  // namespace treepo
