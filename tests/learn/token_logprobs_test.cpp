#include "learn/token_logprobs.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdlib>

namespace treepo {
namespace {

// 7 rows, 5 of them sources; source 1 has three targets, two of them the same token; more than one
// chunk boundary falls between and inside.
struct Problem {
  at::Tensor hidden, weight;
  at::Tensor rows = at::tensor({0, 2, 3, 5, 6}, at::kLong);
  at::Tensor sources = at::tensor({0, 1, 1, 1, 2, 3, 3, 4}, at::kLong);
  at::Tensor tokens = at::tensor({4, 0, 8, 0, 2, 10, 1, 3}, at::kLong);
  at::Tensor logprob_weights, entropy_weights;  // the loss is their products' sum

  explicit Problem(c10::ScalarType dtype) {
    at::manual_seed(3);
    hidden = at::randn({7, 6}, at::kDouble).to(dtype).set_requires_grad(true);
    weight = at::randn({11, 6}, at::kDouble).to(dtype).set_requires_grad(true);
    logprob_weights = at::randn({8}, at::kDouble);
    entropy_weights = at::randn({5}, at::kDouble);
  }

  // Whole-tensor twin in float64.
  TokenLogprobs twin(double temperature) const {
    const at::Tensor logits =
        at::matmul(hidden.to(at::kDouble).index_select(0, rows), weight.to(at::kDouble).t());
    const at::Tensor all = at::log_softmax(logits / temperature, 1);
    return {.logprob = all.index({sources, tokens}), .entropy = -(all.exp() * all).sum(1)};
  }

  std::vector<at::Tensor> gradients(const TokenLogprobs& outputs, bool with_entropy) const {
    at::Tensor loss = (outputs.logprob.to(at::kDouble) * logprob_weights).sum();
    if (with_entropy) loss = loss + (outputs.entropy.to(at::kDouble) * entropy_weights).sum();
    return torch::autograd::grad({loss}, {hidden, weight}, {}, /*retain_graph=*/true);
  }
};

double relative(const at::Tensor& found, const at::Tensor& expected) {
  return ((found.to(at::kDouble) - expected.to(at::kDouble)).norm() /
          expected.to(at::kDouble).norm())
      .item<double>();
}

void compare(c10::ScalarType dtype, double tolerance) {
  const Problem p(dtype);
  for (const double temperature : {1.0, 0.7}) {
    const TokenLogprobs expected = p.twin(temperature);
    for (const int64_t chunk : {-100, -2, 1, 2, 3, 100}) {  // negative: by tensor operations
      const TokenLogprobs found = token_logprobs(
          p.hidden, p.weight, p.rows, p.sources, p.tokens, temperature, std::abs(chunk), {},
          chunk < 0 ? KernelChoice::tensor_operations : KernelChoice::best);
      EXPECT_LT(relative(found.logprob, expected.logprob), tolerance);
      EXPECT_LT(relative(found.entropy, expected.entropy), tolerance);
      for (const bool with_entropy : {false, true}) {
        const auto gradients = p.gradients(found, with_entropy);
        const auto twins = p.gradients(p.twin(temperature), with_entropy);
        EXPECT_EQ(gradients[0].scalar_type(), dtype);
        for (size_t i = 0; i < 2; ++i) EXPECT_LT(relative(gradients[i], twins[i]), tolerance);
      }
    }
  }
}

TEST(TokenLogprobs, EqualsWholeTensorsInFloat64) {
  compare(at::kDouble, 1e-13);
}
TEST(TokenLogprobs, EqualsWholeTensorsInFloat32) {
  compare(at::kFloat, 2e-6);
}
// Logits rounded to 8 bits of mantissa; softmax and sums in float32.
TEST(TokenLogprobs, EqualsWholeTensorsInBfloat16) {
  compare(at::kBFloat16, 2e-2);
}

TEST(TokenLogprobs, EntropyAloneHasAGradient) {
  const Problem p(at::kDouble);
  const auto gradient = [&](const TokenLogprobs& outputs) {
    return torch::autograd::grad({(outputs.entropy * p.entropy_weights).sum()}, {p.weight})[0];
  };
  EXPECT_LT(
      relative(gradient(token_logprobs(p.hidden, p.weight, p.rows, p.sources, p.tokens, 1, 2)),
               gradient(p.twin(1))),
      1e-13);
}

// Two calls with a sink leave the sum of what autograd would have been given.
TEST(TokenLogprobs, AddsTheWeightsGradientToTheSink) {
  for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
    const Problem p(dtype);
    const at::Tensor sink = at::zeros({11, 6}, dtype == at::kDouble ? at::kDouble : at::kFloat);
    const auto run = [&](const at::Tensor& gradient) {
      return token_logprobs(p.hidden, p.weight, p.rows, p.sources, p.tokens, 0.7, 2, gradient);
    };
    const auto expected = p.gradients(run({}), true);
    for (int i = 0; i < 2; ++i) {
      const TokenLogprobs found = run(sink);
      p.hidden.mutable_grad() = at::Tensor();
      torch::autograd::backward({found.logprob, found.entropy},
                                {p.logprob_weights.to(found.logprob.scalar_type()),
                                 p.entropy_weights.to(found.logprob.scalar_type())});
      EXPECT_FALSE(p.weight.grad().defined());
      EXPECT_TRUE(p.hidden.grad().equal(expected[0]));
    }
    EXPECT_LT(relative(sink, 2 * expected[1].to(at::kDouble)), dtype == at::kDouble  ? 1e-15
                                                               : dtype == at::kFloat ? 1e-6
                                                                                     : 4e-3);
  }
}

// A frozen head costs no product for its gradient.
TEST(TokenLogprobs, FrozenWeightsGetNoGradient) {
  Problem p(at::kDouble);
  const auto expected = p.gradients(p.twin(1), true);
  p.weight.set_requires_grad(false);
  const TokenLogprobs found = token_logprobs(p.hidden, p.weight, p.rows, p.sources, p.tokens, 1, 2);
  torch::autograd::backward({found.logprob, found.entropy}, {p.logprob_weights, p.entropy_weights});
  EXPECT_LT(relative(p.hidden.grad(), expected[0]), 1e-13);
  EXPECT_FALSE(p.weight.grad().defined());
}

TEST(TokenLogprobs, LargeLogitsStayFinite) {
  const at::Tensor hidden = at::full({1, 1}, 1000.0, at::kFloat);
  const at::Tensor weight = at::tensor({1.0f, -1.0f}).view({2, 1});
  const auto zero = at::zeros({1}, at::kLong);
  const TokenLogprobs result =
      token_logprobs(hidden, weight, zero, zero, at::ones_like(zero), 1, 8);
  EXPECT_EQ(result.logprob.item<float>(), -2000.0f);
  EXPECT_EQ(result.entropy.item<float>(), 0.0f);
}

TEST(TokenLogprobs, RepeatedRunsGiveTheSameBits) {
  const Problem p(at::kFloat);
  const auto run = [&] {
    return p.gradients(token_logprobs(p.hidden, p.weight, p.rows, p.sources, p.tokens, 1, 2), true);
  };
  const auto first = run();
  for (int i = 0; i < 5; ++i) {
    const auto again = run();
    EXPECT_TRUE(first[0].equal(again[0]) && first[1].equal(again[1]));
  }
}

}  // namespace
}  // namespace treepo
