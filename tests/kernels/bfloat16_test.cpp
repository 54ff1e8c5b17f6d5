// Kernels that store bfloat16 must give what the same kernel gives in float, rounded on the way
// out.

#include "kernels/bfloat16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "each_isa.h"
#include "kernels/elementwise.h"
#include "normals.h"

namespace treepo {
namespace {

TREEPO_EACH_ISA(StoredAsBFloat16);

std::vector<float> widened(const std::vector<BFloat16>& x) {
  std::vector<float> out;
  for (const BFloat16 v : x) out.push_back(to_float(v));
  return out;
}

void expect_rounded(const std::vector<BFloat16>& x, const std::vector<float>& exact) {
  ASSERT_EQ(x.size(), exact.size());
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_EQ(x[i].bits, to_bfloat16(exact[i]).bits) << "element " << i << " of " << x.size();
}

TEST(BFloat16, RoundsToTheNearestTiesToEven) {
  EXPECT_EQ(to_bfloat16(1.0f).bits, 0x3f80);
  EXPECT_EQ(to_bfloat16(1.0f + 1.0f / 256).bits, 0x3f80);   // half way, down to even
  EXPECT_EQ(to_bfloat16(1.0f + 3.0f / 256).bits, 0x3f82);   // half way, up to even
  EXPECT_EQ(to_bfloat16(1.0f + 1.01f / 256).bits, 0x3f81);  // just above
  EXPECT_EQ(to_bfloat16(-1.0f - 3.0f / 256).bits, 0xbf82);  // sign apart
  EXPECT_EQ(to_bfloat16(std::numeric_limits<float>::infinity()).bits, 0x7f80);
  EXPECT_EQ(to_bfloat16(std::numeric_limits<float>::max()).bits, 0x7f80);
  EXPECT_TRUE(std::isnan(to_float(to_bfloat16(std::numeric_limits<float>::quiet_NaN()))));
  for (uint32_t bits = 0; bits < 1 << 16; ++bits) {  // what fits stays
    const BFloat16 x = {static_cast<uint16_t>(bits)};
    if (!std::isnan(to_float(x))) {
      ASSERT_EQ(to_bfloat16(to_float(x)).bits, x.bits);
    }
  }
}

TEST_P(StoredAsBFloat16, NanAndInfinityPassThrough) {
  std::vector<BFloat16> gate_up(64, to_bfloat16(1.0f)), out(32);
  gate_up[3] = to_bfloat16(std::numeric_limits<float>::quiet_NaN());
  gate_up[32 + 5] = to_bfloat16(std::numeric_limits<float>::infinity());
  swiglu_cpu<BFloat16>(gate_up.data(), 1, 32, out.data());
  for (size_t i = 0; i < out.size(); ++i) {
    EXPECT_EQ(std::isnan(to_float(out[i])), i == 3) << i;
    EXPECT_EQ(std::isinf(to_float(out[i])), i == 5) << i;
  }
}

TEST_P(StoredAsBFloat16, RmsNormAndItsBackward) {
  struct Size {
    int64_t rows, n;
  };
  for (const auto [rows, n] : {Size{1, 1}, Size{5, 16}, Size{300, 24}, Size{3, 1000}}) {
    const auto x = normals<BFloat16>(1, rows * n), weight = normals<BFloat16>(2, n),
               grad = normals<BFloat16>(3, rows * n);
    const auto size = static_cast<size_t>(rows * n);
    std::vector<BFloat16> out(size), grad_x(size);
    std::vector<float> inverse(static_cast<size_t>(rows)), grad_weight(weight.size());
    rms_norm_cpu<BFloat16>(x.data(), weight.data(), 1e-3f, rows, n, out.data(), inverse.data());
    rms_norm_backward_cpu<BFloat16>(grad.data(), x.data(), weight.data(), inverse.data(), rows, n,
                                    grad_x.data(), grad_weight.data());

    const auto wide = widened(x), wide_weight = widened(weight), wide_grad = widened(grad);
    std::vector<float> exact(size), exact_grad_x(size);
    std::vector<float> exact_inverse(inverse.size()), exact_grad_weight(weight.size());
    rms_norm_cpu<float>(wide.data(), wide_weight.data(), 1e-3f, rows, n, exact.data(),
                        exact_inverse.data());
    rms_norm_backward_cpu<float>(wide_grad.data(), wide.data(), wide_weight.data(),
                                 exact_inverse.data(), rows, n, exact_grad_x.data(),
                                 exact_grad_weight.data());
    expect_rounded(out, exact);
    EXPECT_EQ(inverse, exact_inverse);
    expect_rounded(grad_x, exact_grad_x);
    EXPECT_EQ(grad_weight, exact_grad_weight);
  }
}

TEST_P(StoredAsBFloat16, Rotate) {
  for (const int64_t head_dim : {2, 12, 64}) {
    const int64_t rows = 9, heads = 5;
    const auto x = normals<BFloat16>(1, rows * heads * head_dim);
    const auto table = widened(normals<BFloat16>(2, rows * head_dim));
    std::vector<BFloat16> out(x.size());
    rotate_cpu<BFloat16>(x.data(), table.data(), rows, heads, 3, head_dim, false, out.data());
    std::vector<float> exact(x.size());
    rotate_cpu<float>(widened(x).data(), table.data(), rows, heads, 3, head_dim, false,
                      exact.data());
    expect_rounded(out, exact);
  }
}

TEST_P(StoredAsBFloat16, SwiGluAndItsBackward) {
  for (const int64_t n : {1, 20, 56, 256}) {
    const int64_t rows = 11;
    const auto gate_up = normals<BFloat16>(1, rows * 2 * n), grad = normals<BFloat16>(2, rows * n);
    std::vector<BFloat16> out(grad.size()), grad_gate_up(gate_up.size());
    swiglu_cpu<BFloat16>(gate_up.data(), rows, n, out.data());
    swiglu_backward_cpu<BFloat16>(grad.data(), gate_up.data(), rows, n, grad_gate_up.data());
    std::vector<float> exact(grad.size()), exact_grad(gate_up.size());
    swiglu_cpu<float>(widened(gate_up).data(), rows, n, exact.data());
    swiglu_backward_cpu<float>(widened(grad).data(), widened(gate_up).data(), rows, n,
                               exact_grad.data());
    expect_rounded(out, exact);
    expect_rounded(grad_gate_up, exact_grad);
  }
}

}  // namespace
}  // namespace treepo
