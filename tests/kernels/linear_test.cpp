// Holds the matrix product of decoding against sums in double. A row's result must be the same
// whatever rows stand beside it: else a sample would change with the batch.

#include "kernels/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/threads.h"
#include "each_isa.h"
#include "normals.h"

namespace treepo {
namespace {

TREEPO_EACH_ISA(LinearKernel);
INSTANTIATE_TEST_SUITE_P(Pairs, LinearKernel, testing::Values(Isa::avx512_bf16),
                         [](const auto& suite) { return std::string(isa_name(suite.param)); });

struct Size {
  int64_t rows, outer, inner;
};
// Rows, columns and inner sizes on both sides of whole tiles, panels, blocks and vectors; one inner
// size is added up in three parts.
constexpr Size kSizes[] = {{1, 1, 1},     {3, 13, 7},     {7, 24, 96},   {4, 12, 16},
                           {130, 50, 33}, {9, 97, 2100},  {6, 131, 640}, {128, 48, 1024},
                           {1, 200, 64},  {257, 12, 1025}};

double value(BFloat16 x) {
  return to_float(x);
}
double value(double x) {
  return x;
}

template <typename S, typename O = S>
struct Case {
  Size size;
  std::vector<S> x = normals<S>(1, size.rows* size.inner);
  std::vector<S> weight = normals<S>(2, size.outer* size.inner);
  std::vector<S> bias = normals<S>(3, size.outer);
  std::vector<S> residual = normals<S>(4, size.rows* size.outer);

  // Rows [begin, end); what lies beside `out` must be left as it is.
  std::vector<O> run(int64_t begin, int64_t end, bool with_bias, bool with_residual) const {
    const int64_t count = (end - begin) * size.outer;
    const O mark = rounded<O>(77);
    std::vector<O> out(static_cast<size_t>(count) + 64, mark);
    linear_cpu<S, O>({.x = x.data() + begin * size.inner,
                      .weight = weight.data(),
                      .bias = with_bias ? bias.data() : nullptr,
                      .residual = with_residual ? residual.data() + begin * size.outer : nullptr,
                      .out = out.data(),
                      .rows = end - begin,
                      .outer = size.outer,
                      .inner = size.inner});
    for (size_t i = static_cast<size_t>(count); i < out.size(); ++i)
      EXPECT_EQ(value(out[i]), 77) << "written beyond the end";
    out.resize(static_cast<size_t>(count));
    return out;
  }
};

// `relative`: of the sum of the products' magnitudes, which is what rounding errors scale with;
// `rounding`: of the result, for the type that it is stored in.
template <typename S, typename O>
void expect_definition(double relative, double rounding) {
  for (const Size size : kSizes)
    for (const bool with_bias : {false, true})
      for (const bool with_residual : {false, true}) {
        const Case<S, O> c{size};
        const std::vector<O> out = c.run(0, size.rows, with_bias, with_residual);
        for (int64_t i = 0; i < size.rows; ++i)
          for (int64_t j = 0; j < size.outer; ++j) {
            double sum = 0, magnitude = 0;
            for (int64_t k = 0; k < size.inner; ++k) {
              const double product = value(c.x[static_cast<size_t>(i * size.inner + k)]) *
                                     value(c.weight[static_cast<size_t>(j * size.inner + k)]);
              sum += product;
              magnitude += std::abs(product);
            }
            const auto at = static_cast<size_t>(i * size.outer + j);
            if (with_bias) sum += value(c.bias[static_cast<size_t>(j)]);
            if (with_residual) sum += value(c.residual[at]);
            magnitude += 4;
            ASSERT_NEAR(value(out[at]), sum, relative * magnitude + rounding * std::abs(sum))
                << size.rows << " x " << size.outer << " x " << size.inner << " at " << i << ", "
                << j << (with_bias ? ", bias" : "") << (with_residual ? ", residual" : "");
          }
      }
}

TEST_P(LinearKernel, EqualsDefinition) {
  expect_definition<double, double>(1e-15, 1e-15);
  expect_definition<float, float>(3e-7, 1e-7);
  expect_definition<BFloat16, float>(3e-7, 1e-7);
  expect_definition<BFloat16, BFloat16>(3e-7, 1.0 / 256);
}

template <typename S, typename O>
void expect_rows_alone() {
  for (const Size size : kSizes) {
    const Case<S, O> c{size};
    const std::vector<O> together = c.run(0, size.rows, true, true);
    for (int64_t i = 0; i < size.rows; ++i) {
      const std::vector<O> alone = c.run(i, i + 1, true, true);
      for (size_t j = 0; j < alone.size(); ++j)
        ASSERT_EQ(value(alone[j]), value(together[static_cast<size_t>(i) * alone.size() + j]))
            << "row " << i << " of " << size.rows << " x " << size.outer << " x " << size.inner;
    }
  }
}

TEST_P(LinearKernel, ARowDependsOnNoOther) {
  expect_rows_alone<double, double>();
  expect_rows_alone<float, float>();
  expect_rows_alone<BFloat16, float>();
}

TEST_P(LinearKernel, ThreadsDoNotChangeIt) {
  const Case<float> c{{.rows = 200, .outer = 300, .inner = 1500}};
  set_num_threads(1);
  const std::vector<float> one = c.run(0, 200, true, true);
  set_num_threads(3);
  const std::vector<float> three = c.run(0, 200, true, true);
  set_num_threads(0);
  EXPECT_EQ(one, three);
}

TEST_P(LinearKernel, MayWriteOverTheResidual) {
  const Case<float> c{{.rows = 5, .outer = 70, .inner = 40}};
  std::vector<float> sum = c.residual;
  linear_cpu<float, float>({.x = c.x.data(),
                            .weight = c.weight.data(),
                            .bias = nullptr,
                            .residual = sum.data(),
                            .out = sum.data(),
                            .rows = 5,
                            .outer = 70,
                            .inner = 40});
  EXPECT_EQ(sum, c.run(0, 5, false, true));
}

// What the sum does not touch must not reach it: numbers beside the rows may be NaN.
template <typename S>
void expect_nothing_read_beside_rows() {
  constexpr int64_t kRows = 3, kOuter = 5, kInner = 19;
  const S nan = rounded<S>(std::numeric_limits<double>::quiet_NaN());
  std::vector<S> x(kRows * kInner + 64, nan), weight(kOuter * kInner + 64, nan);
  std::fill_n(x.begin(), kRows * kInner, rounded<S>(1));
  std::fill_n(weight.begin(), kOuter * kInner, rounded<S>(2));
  std::vector<Arithmetic<S>> out(kRows * kOuter);
  linear_cpu<S, Arithmetic<S>>({.x = x.data(),
                                .weight = weight.data(),
                                .bias = nullptr,
                                .residual = nullptr,
                                .out = out.data(),
                                .rows = kRows,
                                .outer = kOuter,
                                .inner = kInner});
  for (const Arithmetic<S> sum : out) EXPECT_EQ(sum, 2.0 * kInner);
}

TEST_P(LinearKernel, ReadsNothingBesideItsRows) {
  expect_nothing_read_beside_rows<float>();
  expect_nothing_read_beside_rows<BFloat16>();
}

}  // namespace
}  // namespace treepo
