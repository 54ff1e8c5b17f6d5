#include "model/recompute.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "model/embedding.h"
#include "model/packed_forward.h"
#include "random_tree.h"
#include "tiny_models.h"

namespace treepo {
namespace {

TEST(Recompute, CallsTheFunctionAgainAndGivesTheSameGradients) {
  at::manual_seed(1);
  const at::Tensor weight = at::randn({3, 3}, at::kDouble).set_requires_grad(true);
  const at::Tensor start = at::randn({2, 3}, at::kDouble).set_requires_grad(true);
  int calls = 0;
  const TensorFunction f = [&](const at::Tensor& x) {
    ++calls;
    return x.mm(weight).tanh();
  };
  const auto gradients = [&](bool again) {
    weight.mutable_grad() = at::Tensor();
    start.mutable_grad() = at::Tensor();
    at::Tensor x = start;
    for (int layer = 0; layer < 2; ++layer) x = again ? recomputed(x, f) : f(x);
    torch::autograd::backward({x.square().sum()});
    return std::pair(weight.grad().clone(), start.grad().clone());
  };
  const auto expected = gradients(false);
  EXPECT_EQ(calls, 2);
  const auto found = gradients(true);
  EXPECT_EQ(calls, 2 + 4);
  EXPECT_TRUE(found.first.equal(expected.first));
  EXPECT_TRUE(found.second.equal(expected.second));
  {
    const at::NoGradGuard no_grad;
    recomputed(start, f);
  }
  EXPECT_EQ(calls, 7);
}

// Random packs of trees, every dtype: hidden states and all gradients, bit by bit.
TEST(Recompute, ADecodersGradientsAreTheSameBits) {
  for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16, at::kHalf}) {
    Decoder decoder = Decoder::random(tiny_config("qwen3"), 7, at::kCPU, dtype);
    decoder.parameters().enable_gradients();
    const PackedSequence sequence = random_trees(7, 40, 15, 50).packed;
    at::manual_seed(2);
    const at::Tensor direction =
        at::randn({sequence.size(), decoder.config().hidden_size}, at::kFloat).to(dtype);
    const auto run = [&](bool checkpoint) {
      decoder.parameters().zero_gradients();
      const at::Tensor hidden = packed_hidden(decoder, sequence, checkpoint);
      torch::autograd::backward({hidden}, {direction});
      return std::pair(hidden.detach(), decoder.parameters().gradients().clone());
    };
    const auto kept = run(false), again = run(true);
    EXPECT_TRUE(again.first.equal(kept.first)) << dtype;
    EXPECT_TRUE(again.second.equal(kept.second)) << dtype;
    EXPECT_GT(kept.second.abs().sum().item<double>(), 0) << dtype;
    EXPECT_EQ(kept.second.scalar_type(), dtype == at::kDouble ? at::kDouble : at::kFloat);
  }
}

// What one pass adds is far below what the sum can resolve in bfloat16: it must not get lost.
TEST(Recompute, GradientsOfHalfWidthWeightsAddUpInFloat32) {
  Decoder decoder = Decoder::random(tiny_config("llama"), 7, at::kCPU, at::kBFloat16);
  decoder.parameters().enable_gradients();
  const PackedSequence sequence = random_trees(3, 20, 15, 50).packed;
  const auto add = [&] {
    const at::Tensor hidden = packed_hidden(decoder, sequence);
    torch::autograd::backward({hidden}, {at::ones_like(hidden)});
  };
  add();
  const at::Tensor once = decoder.parameters().gradients().clone();
  for (int i = 1; i < 1024; ++i) add();
  EXPECT_TRUE(decoder.parameters().gradients().allclose(once * 1024, 1e-4, 1e-4));
}

TEST(EmbeddingRows, AddsToTheRowsOfTheGradient) {
  at::manual_seed(3);
  for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
    const at::Tensor weight = at::randn({9, 70}, at::kDouble).to(dtype).set_requires_grad(true);
    const at::Tensor tokens = at::tensor({3, 0, 3, 8, 3}, at::kLong);
    const at::Tensor direction = at::randn({5, 70}, at::kDouble).to(dtype);
    const at::Tensor sum = at::ones({9, 70}, dtype == at::kDouble ? at::kDouble : at::kFloat);
    at::Tensor expected = sum.clone();
    for (int64_t i = 0; i < 5; ++i) expected[tokens[i].item<int64_t>()] += direction[i];

    const at::Tensor rows = embedding_rows(weight, tokens, sum);
    EXPECT_TRUE(rows.equal(at::embedding(weight, tokens)));
    torch::autograd::backward({rows}, {direction});
    EXPECT_TRUE(sum.equal(expected));
    EXPECT_FALSE(weight.grad().defined());

    torch::autograd::backward({embedding_rows(weight, tokens, {})}, {direction});
    EXPECT_LT(
        (weight.grad().to(at::kDouble) + 1 - expected.to(at::kDouble)).abs().max().item<double>(),
        0.05);
  }
}

}  // namespace
}  // namespace treepo
