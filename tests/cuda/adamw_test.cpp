// Holds AdamW's one pass and the gradient norm on the device against float64.

#include <cmath>
#include <limits>

#include "each_device.h"
#include "learn/optimizer.h"

namespace treepo {
namespace {

TREEPO_EACH_DEVICE(CudaAdamWTest);

constexpr OptimizerOptions kOptions{
    .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-6, .weight_decay = 0.3, .max_grad_norm = 2.0};

// Loshchilov & Hutter's update in float64; the gradient of all numbers is clipped, those of `range`
// change.
void update(const at::Tensor& weights, const at::Tensor& gradients, at::Tensor m, at::Tensor v,
            const ParameterRange& range, double rate, int step) {
  const auto part = [&](const at::Tensor& t) {
    return t.narrow(0, range.begin, range.end - range.begin);
  };
  const double norm = gradients.norm().item<double>();
  const at::Tensor g = part(gradients) * std::min(1.0, kOptions.max_grad_norm / (norm + 1e-6));
  at::Tensor w = part(weights);
  if (range.decay) w.mul_(1 - rate * kOptions.weight_decay);
  part(m).mul_(kOptions.beta1).add_(g * (1 - kOptions.beta1));
  part(v).mul_(kOptions.beta2).add_(g * g * (1 - kOptions.beta2));
  const at::Tensor m_hat = part(m) / (1 - std::pow(kOptions.beta1, step));
  const at::Tensor v_hat = part(v) / (1 - std::pow(kOptions.beta2, step));
  w.sub_(rate * m_hat / (v_hat.sqrt() + kOptions.epsilon));
}

// Ranges that begin and end at any place of 16 bytes; between and around them nothing changes.
TEST_P(CudaAdamWTest, FollowsFloat64) {
  const std::vector<ParameterRange> ranges = {{.begin = 3, .end = 1001},
                                              {.begin = 1001, .end = 1002, .decay = false},
                                              {.begin = 1006, .end = 4095, .decay = false},
                                              {.begin = 4096, .end = 4999}};
  for (const c10::ScalarType dtype : {at::kBFloat16, at::kHalf, at::kFloat}) {
    SCOPED_TRACE(c10::toString(dtype));
    const at::Tensor start = normals(1, {5000}).to(dtype);
    const at::Tensor weights = start.to(device, dtype, false, /*copy=*/true);
    const at::Tensor gradients = at::zeros({5000}, at::device(device).dtype(at::kFloat));
    AdamW optimizer(weights, gradients, ranges, kOptions);
    const at::Tensor expected = wide(start), m = at::zeros_like(expected), v = m.clone();
    for (int step = 1; step <= 6; ++step) {
      gradients.copy_((step % 2 == 1 ? 0.01 : 1.0) * normals(static_cast<uint64_t>(step), {5000}));
      const double rate = 0.01 * step;
      const StepReport report = optimizer.step(rate);
      EXPECT_NEAR(report.gradient_norm, wide(gradients).norm().item<double>(), 1e-9);
      for (const ParameterRange& range : ranges)
        update(expected, wide(gradients), m, v, range, rate, step);
    }
    const AdamWState& state = optimizer.state();
    const at::Tensor& exact = dtype == at::kFloat ? weights : state.master;
    EXPECT_LT(largest_difference(exact, expected), 3e-6);
    EXPECT_LT(largest_difference(state.first_moment, m), 1e-6);
    EXPECT_LT(largest_difference(state.second_moment, v), 1e-6);
    EXPECT_TRUE(at::equal(weights, exact.to(dtype)));
    for (const int64_t at : {0, 2, 1002, 1005, 4095, 4999})
      EXPECT_EQ(weights[at].item<double>(), start[at].item<double>()) << at;
  }
}

// Up to more numbers than all threads read at once.
TEST_P(CudaAdamWTest, NormIsThatOfFloat64) {
  for (const int64_t size : {0, 1, 3, 6, 1031, 1100003}) {
    const at::Tensor values = normals(7, {size}).to(device, at::kFloat);
    const double expected = wide(values).norm().item<double>();
    EXPECT_NEAR(gradient_norm(values), expected, 1e-12 * expected) << size;
    EXPECT_EQ(gradient_norm(values), gradient_norm(values));
  }
}

TEST_P(CudaAdamWTest, SkipsGradientsThatAreNotFinite) {
  const at::Tensor weights = normals(1, {100}).to(device, at::kBFloat16);
  const at::Tensor before = weights.clone();
  const at::Tensor gradients = at::zeros({100}, at::device(device).dtype(at::kFloat));
  gradients[99].fill_(std::numeric_limits<float>::quiet_NaN());
  AdamW optimizer(weights, gradients, {{.begin = 0, .end = 100}}, kOptions);
  EXPECT_TRUE(optimizer.step(0.1).skipped);
  EXPECT_TRUE(at::equal(weights, before));
}

}  // namespace
}  // namespace treepo
