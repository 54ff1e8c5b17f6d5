#include "model/recompute.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "model/embedding.h"
#include "model/packed_forward.h"
#include "random_tree.h"
#include "tiny_models.h"

namespace treepo {
namespace {

// Two layers of head and tail, x: [5, 3].
class TwoLayers {
 public:
  TwoLayers() {
    at::manual_seed(1);
    for (at::Tensor& weight : weights) weight = at::randn({3, 3}, at::kDouble);
    for (at::Tensor& weight : weights) weight.set_requires_grad(true);
    x = at::randn({5, 3}, at::kDouble).set_requires_grad(true);
  }

  // Of both weights and x; rows_at_once 0: without running anything again.
  std::vector<at::Tensor> gradients(int64_t rows_at_once) {
    for (at::Tensor* leaf : {&weights[0], &weights[1], &x}) leaf->mutable_grad() = at::Tensor();
    at::Tensor y = x;
    for (int layer = 0; layer < 2; ++layer)
      y = rows_at_once == 0 ? tail(head(y), ResultUse::read)
                            : recomputed(y, head, tail, rows_at_once);
    torch::autograd::backward({y.square().sum()});
    return {weights[0].grad().clone(), weights[1].grad().clone(), x.grad().clone()};
  }

  at::Tensor weights[2], x;
  int head_calls = 0, tail_calls = 0, unread_calls = 0;
  int64_t most_rows = 0;
  const TensorFunction head = [this](const at::Tensor& in) {
    ++head_calls;
    return in.cumsum(0).mm(weights[0]).tanh();  // every row depends on all above it
  };
  const TailFunction tail = [this](const at::Tensor& in, ResultUse use) {
    ++tail_calls;
    unread_calls += use == ResultUse::backward_only ? 1 : 0;
    most_rows = std::max(most_rows, in.size(0));
    return in + in.mm(weights[1]).sigmoid();
  };
};

TEST(Recompute, CallsTheFunctionsAgainAndGivesTheSameGradients) {
  TwoLayers layers;
  const auto expected = layers.gradients(0);
  EXPECT_EQ(layers.head_calls, 2);
  const auto found = layers.gradients(5);
  EXPECT_EQ(layers.head_calls, 2 + 4);
  EXPECT_EQ(layers.tail_calls, 2 + 4);
  EXPECT_EQ(layers.unread_calls, 2);  // those on the way back
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(found[i].equal(expected[i])) << i;
  {
    const at::NoGradGuard no_grad;
    recomputed(layers.x, layers.head, layers.tail, 5);
  }
  EXPECT_EQ(layers.head_calls, 7);
}

TEST(Recompute, RunsTheTailForSomeRowsAtATime) {
  TwoLayers layers;
  const auto expected = layers.gradients(0);
  for (const int64_t rows : {1, 2, 3, 4}) {
    layers.tail_calls = layers.head_calls = 0;
    layers.most_rows = 0;
    const auto found = layers.gradients(rows);
    const int64_t parts = (5 + rows - 1) / rows;
    EXPECT_EQ(layers.tail_calls, 4 * parts);
    EXPECT_EQ(layers.head_calls, 4);
    EXPECT_EQ(layers.most_rows, rows);
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_TRUE(found[i].allclose(expected[i], 1e-13, 1e-13)) << rows << ", " << i;
  }
}

// Hidden states, and gradients of all weights for `direction` at them.
std::pair<at::Tensor, at::Tensor> run(Decoder& decoder, const PackedSequence& sequence,
                                      const at::Tensor& direction, bool checkpoint) {
  decoder.parameters().zero_gradients();
  const at::Tensor hidden = packed_hidden(decoder, sequence, checkpoint);
  torch::autograd::backward({hidden}, {direction});
  return {hidden.detach(), decoder.parameters().gradients().clone()};
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
    const auto kept = run(decoder, sequence, direction, false);
    const auto again = run(decoder, sequence, direction, true);
    EXPECT_TRUE(again.first.equal(kept.first)) << dtype;
    EXPECT_TRUE(again.second.equal(kept.second)) << dtype;
    EXPECT_GT(kept.second.abs().sum().item<double>(), 0) << dtype;
    EXPECT_EQ(kept.second.scalar_type(), dtype == at::kDouble ? at::kDouble : at::kFloat);
  }
}

// More tokens than run at once: the same but for the order of sums.
TEST(Recompute, ADecodersGradientsAgreeOnLongPacks) {
  Decoder decoder = Decoder::random(tiny_config("qwen3"), 7, at::kCPU, at::kDouble);
  decoder.parameters().enable_gradients();
  const PackedSequence sequence = random_trees(7, 2 * kRecomputedRows + 100, 15, 50).packed;
  at::manual_seed(2);
  const at::Tensor direction =
      at::randn({sequence.size(), decoder.config().hidden_size}, at::kDouble);
  const auto kept = run(decoder, sequence, direction, false);
  const auto again = run(decoder, sequence, direction, true);
  EXPECT_TRUE(again.first.allclose(kept.first, 1e-12, 1e-12));
  EXPECT_TRUE(again.second.allclose(kept.second, 1e-11, 1e-11));
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
