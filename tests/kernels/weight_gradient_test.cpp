// Holds the sums of a weight's gradient against float64.

#include "kernels/weight_gradient.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/threads.h"
#include "each_isa.h"
#include "kernels/aligned_vector.h"
#include "normals.h"

namespace treepo {
namespace {

class WeightGradientKernel : public EachIsa {};
INSTANTIATE_TEST_SUITE_P(Pairs, WeightGradientKernel, testing::Values(Isa::avx512_bf16),
                         [](const auto& suite) { return std::string(isa_name(suite.param)); });

struct Case {
  int64_t rows, outer, inner;
  std::vector<BFloat16> grad = normals<BFloat16>(1, rows*outer),
                        x = normals<BFloat16>(2, rows*inner);

  // Adds to `sums`; what lies beside them must be left as it is.
  void add_to(std::vector<float>& sums) const {
    const BFloat16 nan = to_bfloat16(std::numeric_limits<float>::quiet_NaN());
    std::vector<BFloat16> long_grad = grad, long_x = x;  // NaN behind them must not be read
    long_grad.resize(grad.size() + 64, nan);
    long_x.resize(x.size() + 64, nan);
    AlignedVector<uint32_t> scratch(
        static_cast<size_t>(weight_gradient_scratch(rows, outer, inner)),
        0x7fc07fc0);  // two NaN
    sums.resize(sums.size() + 64, 77);
    weight_gradient_cpu({.grad = long_grad.data(),
                         .x = long_x.data(),
                         .sums = sums.data(),
                         .rows = rows,
                         .outer = outer,
                         .inner = inner,
                         .scratch = scratch.data()});
    for (int i = 0; i < 64; ++i) {
      EXPECT_EQ(sums.back(), 77) << "written beyond the end";
      sums.pop_back();
    }
  }
};

std::vector<float> counted(int64_t count) {
  std::vector<float> out(static_cast<size_t>(count));
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(i % 7);
  return out;
}

// Rows, rows of the sums and columns on both sides of pairs, tiles, vectors, panels and tasks; some
// are added up in several parts.
TEST_P(WeightGradientKernel, AddsTheSumsOfFloat64) {
  for (const Case& c :
       {Case{1, 1, 1}, Case{2, 3, 15}, Case{3, 16, 17}, Case{7, 19, 96}, Case{8, 33, 97},
        Case{255, 5, 100}, Case{256, 17, 16}, Case{513, 30, 80}, Case{40, 300, 193}}) {
    std::vector<float> sums = counted(c.outer * c.inner);
    const std::vector<float> before = sums;
    c.add_to(sums);
    for (int64_t i = 0; i < c.outer; ++i)
      for (int64_t j = 0; j < c.inner; ++j) {
        const auto at = static_cast<size_t>(i * c.inner + j);
        double sum = before[at], magnitude = 7;
        for (int64_t n = 0; n < c.rows; ++n) {
          const double product = double{to_float(c.grad[static_cast<size_t>(n * c.outer + i)])} *
                                 double{to_float(c.x[static_cast<size_t>(n * c.inner + j)])};
          sum += product;
          magnitude += std::abs(product);
        }
        ASSERT_NEAR(sums[at], sum, 3e-7 * magnitude)
            << c.rows << " rows, " << c.outer << " x " << c.inner << " at " << i << ", " << j;
      }
  }
}

TEST_P(WeightGradientKernel, ThreadsDoNotChangeIt) {
  const Case c{600, 300, 200};
  std::vector<float> one = counted(c.outer * c.inner), three = one;
  set_num_threads(1);
  c.add_to(one);
  set_num_threads(3);
  c.add_to(three);
  set_num_threads(0);
  EXPECT_EQ(one, three);
}

}  // namespace
}  // namespace treepo
