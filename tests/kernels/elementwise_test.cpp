// Holds the decoder's row-wise kernels against loops in double, their backward against differences.

#include "kernels/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "base/threads.h"
#include "each_isa.h"
#include "normals.h"

namespace treepo {
namespace {

TREEPO_EACH_ISA(RmsNorm);
TREEPO_EACH_ISA(Rotate);
TREEPO_EACH_ISA(SwiGlu);
TREEPO_EACH_ISA(Elementwise);

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

// d/dx[i] of dot(f(x), weights) by central differences, at a few i.
void expect_gradient(const std::function<std::vector<double>(const std::vector<double>&)>& f,
                     std::vector<double> x, const std::vector<double>& weights,
                     const std::vector<double>& gradient) {
  ASSERT_EQ(x.size(), gradient.size());
  constexpr double kStep = 1e-5;
  for (size_t i = 0; i < x.size(); i += 1 + x.size() / 23) {
    const double kept = x[i];
    x[i] = kept + kStep;
    const double above = dot(f(x), weights);
    x[i] = kept - kStep;
    const double below = dot(f(x), weights);
    x[i] = kept;
    EXPECT_NEAR(gradient[i], (above - below) / (2 * kStep), 1e-7 * (1 + std::abs(gradient[i])))
        << "element " << i;
  }
}

template <typename T>
std::vector<T> as(const std::vector<double>& x) {
  return {x.begin(), x.end()};
}

struct Size {
  int64_t rows, n;
};
constexpr Size kSizes[] = {{1, 1}, {3, 7}, {5, 16}, {300, 24}, {17, 96}, {2, 1000}};

TEST_P(RmsNorm, EqualsDefinition) {
  for (const auto [rows, n] : kSizes) {
    const auto x = normals<double>(1, rows * n), weight = normals<double>(2, n);
    std::vector<double> out(x.size()), inverse(static_cast<size_t>(rows));
    rms_norm_cpu<double>(x.data(), weight.data(), 1e-3, rows, n, out.data(), inverse.data());
    std::vector<float> narrow(x.size());
    rms_norm_cpu<float>(as<float>(x).data(), as<float>(weight).data(), 1e-3f, rows, n,
                        narrow.data(), nullptr);
    for (int64_t r = 0; r < rows; ++r) {
      double squares = 0;
      for (int64_t i = 0; i < n; ++i) squares += std::pow(x[static_cast<size_t>(r * n + i)], 2);
      const double scale = 1 / std::sqrt(squares / static_cast<double>(n) + 1e-3);
      EXPECT_NEAR(inverse[static_cast<size_t>(r)], scale, 1e-13 * scale);
      for (int64_t i = 0; i < n; ++i) {
        const auto at = static_cast<size_t>(r * n + i);
        EXPECT_NEAR(out[at], x[at] * scale * weight[static_cast<size_t>(i)], 1e-13);
        EXPECT_NEAR(narrow[at], out[at], 3e-6);
      }
    }
  }
}

TEST_P(RmsNorm, BackwardIsTheGradient) {
  for (const auto [rows, n] : kSizes) {
    const auto x = normals<double>(1, rows * n), weight = normals<double>(2, n),
               grad = normals<double>(3, rows * n);
    std::vector<double> out(x.size()), inverse(static_cast<size_t>(rows));
    rms_norm_cpu<double>(x.data(), weight.data(), 1e-3, rows, n, out.data(), inverse.data());
    std::vector<double> grad_x(x.size()), grad_weight(weight.size(), 99);
    rms_norm_backward_cpu<double>(grad.data(), x.data(), weight.data(), inverse.data(), rows, n,
                                  grad_x.data(), grad_weight.data());
    const auto run = [&](const std::vector<double>& at_x, const std::vector<double>& at_weight) {
      std::vector<double> result(at_x.size());
      rms_norm_cpu<double>(at_x.data(), at_weight.data(), 1e-3, rows, n, result.data(), nullptr);
      return result;
    };
    expect_gradient([&](const auto& at) { return run(at, weight); }, x, grad, grad_x);
    expect_gradient([&](const auto& at) { return run(x, at); }, weight, grad, grad_weight);
  }
}

TEST_P(Rotate, TurnsPairsHalfAHeadApart) {
  constexpr int64_t kRows = 5, kHeads = 4, kRotated = 3;
  for (const int64_t dim : {2, 8, 24, 64}) {
    const auto x = normals<double>(1, kRows * kHeads * dim);
    std::vector<double> table(static_cast<size_t>(kRows * dim));
    const auto angle = [&](int64_t row, int64_t i) {
      return 0.3 * static_cast<double>(row) + 0.1 * static_cast<double>(i);
    };
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t i = 0; i < dim / 2; ++i) {
        table[static_cast<size_t>(r * dim + i)] = std::cos(angle(r, i));
        table[static_cast<size_t>(r * dim + dim / 2 + i)] = std::sin(angle(r, i));
      }
    std::vector<double> out(x.size());
    rotate_cpu<double>(x.data(), table.data(), kRows, kHeads, kRotated, dim, false, out.data());
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t h = 0; h < kHeads; ++h)
        for (int64_t i = 0; i < dim / 2; ++i) {
          const auto a = static_cast<size_t>((r * kHeads + h) * dim + i);
          const size_t b = a + static_cast<size_t>(dim / 2);
          const double turn = h < kRotated ? angle(r, i) : 0;
          EXPECT_NEAR(out[a], x[a] * std::cos(turn) - x[b] * std::sin(turn), 1e-14);
          EXPECT_NEAR(out[b], x[b] * std::cos(turn) + x[a] * std::sin(turn), 1e-14);
        }
    // Turning back, in place, gives what was there: the transposed matrix, so the backward.
    rotate_cpu<double>(out.data(), table.data(), kRows, kHeads, kRotated, dim, true, out.data());
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(out[i], x[i], 1e-14);
  }
}

TEST_P(SwiGlu, EqualsDefinitionAndItsBackwardTheGradient) {
  for (const auto [rows, n] : kSizes) {
    auto x = normals<double>(1, rows * 2 * n);
    x[0] = 700;  // neither end overflows
    x[x.size() - 1] = 30;
    if (x.size() > 2) x[1] = -700;
    const auto run = [rows = rows, n = n](const std::vector<double>& at) {
      std::vector<double> result(static_cast<size_t>(rows * n));
      swiglu_cpu<double>(at.data(), rows, n, result.data());
      return result;
    };
    const std::vector<double> out = run(x);
    std::vector<float> narrow(out.size());
    swiglu_cpu<float>(as<float>(x).data(), rows, n, narrow.data());
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < n; ++i) {
        const double gate = x[static_cast<size_t>(r * 2 * n + i)];
        const double up = x[static_cast<size_t>(r * 2 * n + n + i)];
        const double expected = gate / (1 + std::exp(-gate)) * up;
        const auto at = static_cast<size_t>(r * n + i);
        EXPECT_NEAR(out[at], expected, 1e-13 * (1 + std::abs(expected)));
        EXPECT_NEAR(narrow[at], expected, 1e-5 * (1 + std::abs(expected)));
      }
    const auto grad = normals<double>(3, rows * n);
    std::vector<double> grad_x(x.size());
    swiglu_backward_cpu<double>(grad.data(), x.data(), rows, n, grad_x.data());
    x[0] = x[x.size() - 1] = 1;  // differences are useless at 700
    swiglu_backward_cpu<double>(grad.data(), x.data(), rows, n, grad_x.data());
    expect_gradient(run, x, grad, grad_x);
  }
}

TEST_P(Elementwise, SameBitsForAnyNumberOfThreads) {
  constexpr int64_t kRows = 3001, kN = 96;  // enough for several threads
  const auto x = as<float>(normals<double>(1, kRows * kN)),
             weight = as<float>(normals<double>(2, kN));
  const auto grad = as<float>(normals<double>(3, kRows * kN));
  const auto run = [&](int threads) {
    set_num_threads(threads);
    std::vector<float> out(x.size()), inverse(kRows), grad_x(x.size()), grad_weight(kN),
        gated(x.size() / 2);
    rms_norm_cpu<float>(x.data(), weight.data(), 1e-6f, kRows, kN, out.data(), inverse.data());
    rms_norm_backward_cpu<float>(grad.data(), x.data(), weight.data(), inverse.data(), kRows, kN,
                                 grad_x.data(), grad_weight.data());
    swiglu_cpu<float>(x.data(), kRows, kN / 2, gated.data());
    for (const auto* part : {&grad_x, &grad_weight, &gated})
      out.insert(out.end(), part->begin(), part->end());
    return out;
  };
  const std::vector<float> one = run(1);
  for (const int threads : {2, 5}) EXPECT_EQ(run(threads), one) << threads << " threads";
  set_num_threads(0);
}

}  // namespace
}  // namespace treepo
