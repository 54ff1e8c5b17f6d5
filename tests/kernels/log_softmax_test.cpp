// Holds the log-softmax kernels against loops in double.

#include "kernels/log_softmax.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "base/threads.h"
#include "each_isa.h"

namespace treepo {
namespace {

TREEPO_EACH_ISA(LogSoftmax);

template <typename T>
struct Rows {
  int64_t rows, n;
  std::vector<T> logits, largest, log_sum, entropy;

  Rows(int64_t num_rows, int64_t num_tokens, double spread, uint64_t seed = 3)
      : rows(num_rows), n(num_tokens) {
    const RandomStream stream(seed, Purpose::generate);
    for (int64_t i = 0; i < rows * n; ++i)
      logits.push_back(static_cast<T>(spread * stream.normal(0, static_cast<uint32_t>(i))));
    for (auto* each : {&largest, &log_sum, &entropy}) each->resize(static_cast<size_t>(rows));
  }

  void compute(double temperature) {
    log_softmax_statistics_cpu<T>(logits.data(), rows, n, static_cast<T>(1 / temperature),
                                  largest.data(), log_sum.data(), entropy.data());
  }

  std::vector<double> logprobs(int64_t row, double temperature) const {
    std::vector<double> z;
    double most = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t i = 0; i < n; ++i)
      z.push_back(static_cast<double>(logits[static_cast<size_t>(row * n + i)]) / temperature);
    for (const double each : z) most = std::max(most, each);
    for (const double each : z) sum += std::exp(each - most);
    for (double& each : z) each -= most + std::log(sum);
    return z;
  }
};

template <typename T>
void compare(int64_t rows, int64_t n, double spread, double temperature, double tolerance) {
  Rows<T> found(rows, n, spread);
  found.compute(temperature);
  std::vector<T> gradient = found.logits, d_logprob, d_entropy;
  for (int64_t r = 0; r < rows; ++r) {
    d_logprob.push_back(static_cast<T>(0.5 - r));
    d_entropy.push_back(static_cast<T>(0.3 * r));
  }
  std::vector<T> without = found.logits;
  const auto run = [&](std::vector<T>& logits, const T* entropy_gradient) {
    log_softmax_gradient_cpu<T>(logits.data(), rows, n, static_cast<T>(1 / temperature),
                                found.largest.data(), found.log_sum.data(), found.entropy.data(),
                                d_logprob.data(), entropy_gradient);
  };
  run(gradient, d_entropy.data());
  run(without, nullptr);
  for (int64_t r = 0; r < rows; ++r) {
    const auto row = static_cast<size_t>(r);
    const std::vector<double> logp = found.logprobs(r, temperature);
    double entropy = 0;
    for (const double each : logp) entropy -= std::exp(each) * each;
    EXPECT_NEAR(found.entropy[row], entropy, tolerance * (1 + entropy));
    for (int64_t i = 0; i < n; i += 1 + n / 97) {
      const auto at = static_cast<size_t>(r * n + i);
      const double l = logp[static_cast<size_t>(i)], p = std::exp(l);
      const double z = (static_cast<double>(found.logits[at]) - found.largest[row]) / temperature;
      ASSERT_NEAR(z - found.log_sum[row], l, tolerance * (1 + std::abs(l)));
      const double plain = -p * d_logprob[row] / temperature;
      const double full = plain - p * d_entropy[row] * (l + entropy) / temperature;
      ASSERT_NEAR(without[at], plain, tolerance * (1e-3 + std::abs(plain)));
      ASSERT_NEAR(gradient[at], full, 4 * tolerance * (1e-2 + std::abs(full)));
    }
  }
}

TEST_P(LogSoftmax, EqualsLoopsInDouble) {
  for (const int64_t n : {1, 7, 16, 100, 1024, 1025, 40000})
    for (const double temperature : {1.0, 0.7})
      for (const double spread : {0.1, 3.0, 30.0}) {
        compare<double>(4, n, spread, temperature, 1e-12);
        compare<float>(4, n, spread, temperature, 2e-5);
      }
}

TEST_P(LogSoftmax, WhatIsNotFiniteShows) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    Rows<float> found(2, 40, 1);
    found.logits[13] = bad;
    found.compute(1);
    EXPECT_TRUE(std::isnan(found.log_sum[0]));
    EXPECT_TRUE(std::isfinite(found.log_sum[1]));
    const std::vector<float> ones(2, 1);
    log_softmax_gradient_cpu<float>(found.logits.data(), 2, 40, 1, found.largest.data(),
                                    found.log_sum.data(), found.entropy.data(), ones.data(),
                                    nullptr);
    EXPECT_TRUE(std::isnan(found.logits[0]));
    EXPECT_TRUE(std::isfinite(found.logits[40]));
  }
}

// A token that cannot come has probability 0 and takes no part in the entropy.
TEST_P(LogSoftmax, MinusInfinityIsProbabilityZero) {
  Rows<float> found(1, 3, 1);
  found.logits = {1, -std::numeric_limits<float>::infinity(), 1};
  found.compute(1);
  EXPECT_NEAR(found.log_sum[0], std::log(2.0), 1e-6);
  EXPECT_NEAR(found.entropy[0], std::log(2.0), 1e-6);
  const float one = 1;
  log_softmax_gradient_cpu<float>(found.logits.data(), 1, 3, 1, found.largest.data(),
                                  found.log_sum.data(), found.entropy.data(), &one, &one);
  EXPECT_NEAR(found.logits[0], -0.5, 1e-6);
  EXPECT_EQ(found.logits[1], 0);
}

TEST_P(LogSoftmax, ThreadsChangeNoBit) {
  const auto run = [](int threads) {
    set_num_threads(threads);
    Rows<float> found(33, 40000, 3);
    found.compute(0.9);
    set_num_threads(0);
    return std::pair(found.log_sum, found.entropy);
  };
  EXPECT_EQ(run(1), run(3));
}

}  // namespace
}  // namespace treepo
