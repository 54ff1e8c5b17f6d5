#include "learn/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"

namespace treepo {
namespace {

constexpr OptimizerOptions kOptions{
    .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-6, .weight_decay = 0.3, .max_grad_norm = 2.0};

struct Problem {
  at::Tensor weights, gradients;

  Problem(int64_t size, c10::ScalarType dtype, uint64_t seed = 5) {
    at::manual_seed(seed);
    weights = at::randn({size}, at::kDouble).to(dtype);
    gradients = at::zeros({size}, dtype == at::kDouble ? at::kDouble : at::kFloat);
  }
  void draw_gradients() { gradients.copy_(at::randn({gradients.numel()}, at::kDouble)); }
};

// Loshchilov & Hutter's update for one number, with bias correction.
struct Twin {
  std::vector<double> w, m, v;
  int step = 0;

  explicit Twin(const at::Tensor& weights) : w(weights.numel()), m(w.size()), v(w.size()) {
    for (size_t i = 0; i < w.size(); ++i) w[i] = weights[static_cast<int64_t>(i)].item<double>();
  }

  void update(const at::Tensor& gradients, double rate, int64_t first_without_decay) {
    ++step;
    double norm = 0;
    for (size_t i = 0; i < w.size(); ++i)
      norm += std::pow(gradients[static_cast<int64_t>(i)].item<double>(), 2);
    const double scale = std::min(1.0, kOptions.max_grad_norm / (std::sqrt(norm) + 1e-6));
    for (size_t i = 0; i < w.size(); ++i) {
      const double g = scale * gradients[static_cast<int64_t>(i)].item<double>();
      if (static_cast<int64_t>(i) < first_without_decay)
        w[i] -= rate * kOptions.weight_decay * w[i];
      m[i] = kOptions.beta1 * m[i] + (1 - kOptions.beta1) * g;
      v[i] = kOptions.beta2 * v[i] + (1 - kOptions.beta2) * g * g;
      const double m_hat = m[i] / (1 - std::pow(kOptions.beta1, step));
      const double v_hat = v[i] / (1 - std::pow(kOptions.beta2, step));
      w[i] -= rate * m_hat / (std::sqrt(v_hat) + kOptions.epsilon);
    }
  }
};

void compare_with_twin(c10::ScalarType dtype, double tolerance) {
  constexpr int64_t kSize = 1000, kDecayed = 600;
  Problem p(kSize, dtype);
  Twin twin(p.weights);
  AdamW optimizer(
      p.weights, p.gradients,
      {{.begin = 0, .end = kDecayed}, {.begin = kDecayed, .end = kSize, .decay = false}}, kOptions);
  for (int step = 0; step < 6; ++step) {
    p.draw_gradients();
    if (step % 2 == 1) p.gradients.mul_(0.01);  // below the limit of the norm
    const double rate = 0.01 * (step + 1);
    optimizer.step(rate);
    twin.update(p.gradients, rate, kDecayed);
  }
  for (int64_t i = 0; i < kSize; ++i)
    ASSERT_NEAR(p.weights[i].item<double>(), twin.w[static_cast<size_t>(i)], tolerance) << i;
  EXPECT_EQ(optimizer.state().steps, 6);
}

TEST(AdamW, EqualsPlainLoopInFloat64) {
  compare_with_twin(at::kDouble, 1e-13);
}
TEST(AdamW, EqualsPlainLoopInFloat32) {
  compare_with_twin(at::kFloat, 3e-6);
}
// The float32 copy carries what bfloat16 weights cannot; half an ulp at |w| < 4 is 2^-7.
TEST(AdamW, EqualsPlainLoopInBfloat16) {
  compare_with_twin(at::kBFloat16, 0.0079);
}

// PyTorch's own fused kernel behind torch.optim.AdamW(fused=True).
TEST(AdamW, EqualsPyTorch) {
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    Problem p(3000, dtype);
    OptimizerOptions options = kOptions;
    options.max_grad_norm = 0;
    AdamW optimizer(p.weights, p.gradients, {{.begin = 0, .end = 3000}}, options);
    at::Tensor w = p.weights.clone(), m = at::zeros_like(w), v = at::zeros_like(w);
    for (int step = 1; step <= 5; ++step) {
      p.draw_gradients();
      optimizer.step(0.02);
      at::_fused_adamw_({w}, {p.gradients}, {m}, {v}, {}, {at::tensor(static_cast<float>(step))},
                        /*lr=*/0.02, options.beta1, options.beta2, options.weight_decay,
                        options.epsilon, /*amsgrad=*/false, /*maximize=*/false);
    }
    const double tolerance = dtype == at::kDouble ? 1e-13 : 2e-6;
    EXPECT_LT((w - p.weights).abs().max().item<double>(), tolerance);
    EXPECT_LT((m - optimizer.state().first_moment).abs().max().item<double>(), tolerance);
    EXPECT_LT((v - optimizer.state().second_moment).abs().max().item<double>(), tolerance);
  }
}

// Half-width weights are the rounded float32 copy, which follows torch.optim.AdamW(fused=True) on
// float32 weights of the same start, also where a step is too small to move a rounded weight.
TEST(AdamW, HalfWidthWeightsFollowPyTorchOnTheirFloat32Copy) {
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    constexpr int64_t kSize = 9001;  // more than one cached block
    Problem p(kSize, dtype);
    OptimizerOptions options = kOptions;
    options.max_grad_norm = 0;
    AdamW optimizer(p.weights, p.gradients, {{.begin = 0, .end = kSize}}, options);
    at::Tensor w = p.weights.to(at::kFloat), m = at::zeros_like(w), v = at::zeros_like(w);
    const at::Tensor start = p.weights.clone();
    for (int step = 1; step <= 200; ++step) {
      p.draw_gradients();
      p.gradients.add_(0.5);  // a direction, so that small steps add up
      optimizer.step(1e-5);
      at::_fused_adamw_({w}, {p.gradients}, {m}, {v}, {}, {at::tensor(static_cast<float>(step))},
                        /*lr=*/1e-5, options.beta1, options.beta2, options.weight_decay,
                        options.epsilon, /*amsgrad=*/false, /*maximize=*/false);
      ASSERT_TRUE(p.weights.equal(optimizer.state().master.to(dtype))) << step;
    }
    EXPECT_LT((w - optimizer.state().master).abs().max().item<double>(), 2e-6);
    EXPECT_FALSE(p.weights.equal(start));
  }
}

TEST(AdamW, GradientThatIsNotFiniteSkipsTheStep) {
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    Problem p(100, at::kFloat);
    AdamW optimizer(p.weights, p.gradients, {{.begin = 0, .end = 100}}, kOptions);
    p.draw_gradients();
    EXPECT_FALSE(optimizer.step(0.1).skipped);
    const at::Tensor weights = p.weights.clone(), m = optimizer.state().first_moment.clone();
    p.gradients[57].fill_(bad);
    const StepReport report = optimizer.step(0.1);
    EXPECT_TRUE(report.skipped);
    EXPECT_FALSE(std::isfinite(report.gradient_norm));
    EXPECT_TRUE(p.weights.equal(weights));
    EXPECT_TRUE(optimizer.state().first_moment.equal(m));
    EXPECT_EQ(optimizer.state().steps, 1);
  }
}

TEST(AdamW, RestoredStateGoesOnBitByBit) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    Problem p(500, dtype);
    AdamW first(p.weights, p.gradients, {{.begin = 0, .end = 500}}, kOptions);
    p.draw_gradients();
    first.step(0.01);
    Problem q(500, dtype);
    q.weights.copy_(p.weights);
    AdamW second(q.weights, q.gradients, {{.begin = 0, .end = 500}}, kOptions);
    second.restore(first.state());
    p.draw_gradients();
    q.gradients.copy_(p.gradients);
    first.step(0.01);
    second.step(0.01);
    EXPECT_TRUE(p.weights.equal(q.weights));
    EXPECT_EQ(second.state().steps, 2);

    Problem other(400, dtype);
    AdamW third(other.weights, other.gradients, {{.begin = 0, .end = 400}}, kOptions);
    EXPECT_THROW(third.restore(first.state()), Error);
  }
}

TEST(AdamW, NeitherThreadsNorSizeOfWorkChangeABit) {
  constexpr int64_t kSize = 700'001;  // several blocks and a rest
  const int threads = at::get_num_threads();
  const auto run = [&](int count) {
    at::set_num_threads(count);
    Problem p(kSize, at::kFloat);
    AdamW optimizer(p.weights, p.gradients, {{.begin = 0, .end = kSize}}, kOptions);
    p.draw_gradients();
    const StepReport report = optimizer.step(0.01);
    return std::pair(p.weights, report.gradient_norm);
  };
  const auto [one, norm_one] = run(1);
  const auto [two, norm_two] = run(2);
  at::set_num_threads(threads);
  EXPECT_TRUE(one.equal(two));
  EXPECT_EQ(norm_one, norm_two);
  Problem p(kSize, at::kFloat);
  p.draw_gradients();
  EXPECT_NEAR(norm_one, p.gradients.to(at::kDouble).norm().item<double>(), 1e-9 * norm_one);
}

}  // namespace
}  // namespace treepo
