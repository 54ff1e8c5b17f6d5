#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "base/random.h"
#include "emulated_cuda.h"
#include "emulated_table.h"
#include "model/cuda_kernels.h"
#include "model/decoder.h"
#include "model/device.h"

namespace treepo {

// One body for all devices: the kernels compiled for the CPU, the threads of a block in either
// order, and the compiled library on a GPU where there is one.
class EachDevice : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "Gpu") {
      try {
        device = parse_device("cuda");
      } catch (const Error& error) {
        GTEST_SKIP() << "SKIPPED: no GPU: " << error.what();
      }
      return;
    }
    use_cuda_kernels_on_cpu(&emulated_cuda_kernels());
    emulated_order =
        GetParam() == "Ascending" ? EmulatedOrder::ascending : EmulatedOrder::descending;
  }
  void TearDown() override {
    use_cuda_kernels_on_cpu(nullptr);
    emulated_multiprocessors = 2;
  }

  c10::Device device{c10::kCPU};
};

#define TREEPO_EACH_DEVICE(SUITE)                                                      \
  class SUITE : public EachDevice {};                                                  \
  INSTANTIATE_TEST_SUITE_P(, SUITE, testing::Values("Ascending", "Descending", "Gpu"), \
                           [](const auto& suite) { return suite.param; })

inline constexpr c10::ScalarType kNarrow[] = {at::kBFloat16, at::kHalf};

// Largest relative error of rounding to nearest.
inline double rounding(c10::ScalarType dtype) {
  return dtype == at::kBFloat16 ? 1.0 / 256 : 1.0 / 2048;
}

inline at::Tensor normals(uint64_t seed, at::IntArrayRef shape) {
  const RandomStream stream(seed, Purpose::train);
  at::Tensor x = at::empty(shape, at::kDouble);
  for (int64_t i = 0; i < x.numel(); ++i)
    x.mutable_data_ptr<double>()[i] = stream.normal(0, static_cast<uint32_t>(i));
  return x;
}

inline at::Tensor wide(const at::Tensor& x) {
  return x.detach().to(at::kCPU, at::kDouble);
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (wide(a) - wide(b)).abs().max().item<double>();
}

// |a - b| / |b|
inline double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  return ((wide(a) - wide(b)).norm() / wide(b).norm()).item<double>();
}

// One by one: how parameters are padded depends on the dtype.
inline void copy_weights(const Decoder& from, Decoder& to) {
  const auto source = from.parameters().named_tensors(), target = to.parameters().named_tensors();
  for (size_t i = 0; i < source.size(); ++i) target[i].second.copy_(wide(source[i].second));
}

// Largest |a - b| - tolerance * |b|.
inline double excess(const at::Tensor& a, const at::Tensor& b, double tolerance) {
  return ((wide(a) - wide(b)).abs() - tolerance * wide(b).abs()).max().item<double>();
}

}  // namespace treepo
