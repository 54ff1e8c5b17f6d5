// Holds packed attention, by kernels and by tensor operations, against a dense mask under autograd,
// and the packed forward pass against each path apart.

#include "model/packed_attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "model/packed_forward.h"
#include "normals.h"
#include "random_tree.h"
#include "support/expect_error.h"
#include "tiny_models.h"

namespace treepo {
namespace {

// Softmax over all N keys with what is not seen at -inf.
at::Tensor dense_attention(const at::Tensor& qkv, const AttentionShape& shape,
                           const std::vector<int32_t>& subtree_end) {
  const auto parts =
      qkv.split_with_sizes({shape.num_heads, shape.num_kv_heads, shape.num_kv_heads}, 1);
  const int64_t n = qkv.size(0), group = shape.num_heads / shape.num_kv_heads;
  const auto by_head = [](const at::Tensor& x) { return x.transpose(0, 1); };
  const at::Tensor q = by_head(parts[0]);
  const at::Tensor k = by_head(parts[1]).repeat_interleave(group, 0);
  const at::Tensor v = by_head(parts[2]).repeat_interleave(group, 0);
  const at::Tensor index = at::arange(n);
  const at::Tensor ends = at::tensor(at::ArrayRef<int32_t>(subtree_end));
  const at::Tensor seen = index.unsqueeze(0)
                              .le(index.unsqueeze(1))
                              .logical_and(index.unsqueeze(1).lt(ends.unsqueeze(0)));
  const at::Tensor scores = (q.matmul(k.transpose(1, 2)) / std::sqrt(shape.head_dim))
                                .masked_fill(seen.logical_not(), -INFINITY);
  return scores.softmax(-1).matmul(v).transpose(0, 1).reshape({n, -1});
}

struct Result {
  at::Tensor out, gradient;
};

template <typename Attention>
Result run(const at::Tensor& values, const at::Tensor& weights, const Attention& attention) {
  const at::Tensor qkv = values.detach().clone().set_requires_grad(true);
  const at::Tensor out = attention(qkv);
  (out * weights.to(out.scalar_type())).sum().backward();
  return {out.detach(), qkv.grad()};
}

double difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

void compare(const std::vector<int32_t>& subtree_end, const AttentionShape& shape, uint64_t seed) {
  const auto n = static_cast<int64_t>(subtree_end.size());
  const at::Tensor qkv =
      normals(seed, {n, shape.num_heads + 2 * shape.num_kv_heads, shape.head_dim});
  const at::Tensor weights = normals(seed + 1, {n, int64_t{shape.num_heads} * shape.head_dim});
  const Result expected = run(
      qkv, weights, [&](const at::Tensor& x) { return dense_attention(x, shape, subtree_end); });
  for (const int32_t block : {3, 32, 512}) {
    const auto plan =
        std::make_shared<PackedAttentionPlan>(plan_packed_attention(subtree_end, block));
    for (const KernelChoice kernels : {KernelChoice::best, KernelChoice::tensor_operations}) {
      SCOPED_TRACE(testing::Message() << n << " tokens, blocks of " << block << ", kernels "
                                      << static_cast<int>(kernels));
      const auto packed = [&](const at::Tensor& x) {
        return packed_attention(x, shape, plan, kernels);
      };
      const Result wide = run(qkv, weights, packed);
      EXPECT_LT(difference(wide.out, expected.out), 1e-13);
      EXPECT_LT(difference(wide.gradient, expected.gradient), 1e-12);
      const Result narrow = run(qkv.to(at::kFloat), weights, packed);
      EXPECT_LT(difference(narrow.out, expected.out), 1e-5);
      EXPECT_LT(difference(narrow.gradient, expected.gradient), 1e-4);
      const Result half = run(qkv.to(at::kBFloat16), weights, packed);
      EXPECT_EQ(half.out.scalar_type(), at::kBFloat16);
      EXPECT_EQ(half.gradient.scalar_type(), at::kBFloat16);
      EXPECT_LT(difference(half.out, expected.out), 0.1);
    }
  }
}

TEST(PackedAttention, EqualsDenseMaskOnRandomTrees) {
  const AttentionShape shapes[] = {{4, 2, 24}, {1, 1, 2}, {6, 2, 8}, {3, 3, 20}};
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const auto count = static_cast<int32_t>(1 + seed * seed * 2);
    const int64_t turns = seed % 3 == 0 ? 3 : seed % 3 == 1 ? 20 : 70;
    const RandomTrees trees = random_trees(seed, count, turns, 10);
    trees.packed.check_invariants();
    compare(trees.packed.subtree_end, shapes[seed % 4], seed);
  }
}

TEST(PackedAttention, EqualsDenseMaskOnChainCombAndSingleTokens) {
  compare({1}, {4, 2, 8}, 1);
  compare({1, 2, 3}, {4, 2, 8}, 2);
  compare(std::vector<int32_t>(200, 200), {4, 2, 8}, 3);
  std::vector<int32_t> comb;  // a spine with a tooth of one token at each step
  for (int32_t i = 0; i < 60; ++i) comb.push_back(i % 2 == 0 ? 60 : i + 1);
  compare(comb, {4, 2, 8}, 4);
}

class PackedForward : public testing::TestWithParam<const char*> {};

// Shared tokens once, or each root-to-leaf path apart: the same hidden states, and the same
// gradients when a token's weight counts once for each copy of it.
TEST_P(PackedForward, EqualsEachPathApart) {
  const ModelConfig config = tiny_config(GetParam());
  Decoder decoder = Decoder::random(config, 7, at::kCPU, at::kDouble);
  decoder.parameters().enable_gradients();
  const RandomTrees trees = random_trees(11, 90, 15, config.vocab_size);
  const at::Tensor weights = normals(5, {90, config.hidden_size});

  const at::Tensor packed = packed_hidden(decoder, trees.packed);
  (packed * weights).sum().backward();
  const at::Tensor packed_gradients = decoder.parameters().gradients().clone();
  decoder.parameters().zero_gradients();

  for (int32_t token = 0; token < 90; ++token) {
    PackedSequence alone;
    for (const int32_t i : trees.path(token)) {
      alone.tokens.push_back(trees.packed.tokens[static_cast<size_t>(i)]);
      alone.positions.push_back(alone.size() - 1);
    }
    alone.subtree_end.assign(alone.tokens.size(), alone.size());
    const at::Tensor last = packed_hidden(decoder, alone).select(0, alone.size() - 1);
    EXPECT_LT(difference(last.detach(), packed.detach().select(0, token)), 1e-12);
    (last * weights.select(0, token)).sum().backward();
  }
  const at::Tensor& gradients = decoder.parameters().gradients();
  EXPECT_LT(((gradients - packed_gradients).norm() / gradients.norm()).item<double>(), 1e-13);
}

// The same bits on every run, two threads at work.
TEST_P(PackedForward, IsDeterministic) {
  const ModelConfig config = tiny_config(GetParam());
  Decoder decoder = Decoder::random(config, 7, at::kCPU, at::kFloat);
  decoder.parameters().enable_gradients();
  const RandomTrees trees = random_trees(3, 1500, 5, config.vocab_size);
  at::Tensor first_hidden, first_gradients;
  for (int repeat = 0; repeat < 4; ++repeat) {
    decoder.parameters().zero_gradients();
    const at::Tensor hidden = packed_hidden(decoder, trees.packed);
    hidden.square().sum().backward();
    if (repeat == 0) {
      first_hidden = hidden.detach().clone();
      first_gradients = decoder.parameters().gradients().clone();
    }
    EXPECT_TRUE(at::equal(hidden.detach(), first_hidden));
    EXPECT_TRUE(at::equal(decoder.parameters().gradients(), first_gradients));
  }
}

INSTANTIATE_TEST_SUITE_P(Families, PackedForward,
                         testing::Values("llama", "qwen2", "qwen3", "mistral"));

TEST(PackedForward, RefusesWhatTheModelCannotRun) {
  const Decoder decoder = Decoder::random(tiny_config("llama"), 1, at::kCPU, at::kFloat);
  const auto chain = [](int32_t count, int32_t token) {
    PackedSequence packed;
    for (int32_t i = 0; i < count; ++i) {
      packed.tokens.push_back(token);
      packed.positions.push_back(i);
    }
    packed.subtree_end.assign(static_cast<size_t>(count), count);
    return packed;
  };
  EXPECT_EQ(packed_hidden(decoder, chain(256, 3)).size(0), 256);
  EXPECT_NE(error_of([&] { packed_hidden(decoder, chain(257, 3)); }).find("context of 256"),
            std::string::npos);
  EXPECT_NE(error_of([&] { packed_hidden(decoder, chain(2, 50)); }).find("vocabulary of 50"),
            std::string::npos);
}

TEST(PackedSequence, InvariantsRefuseCrossingSubtrees) {
  PackedSequence packed{.tokens = {5, 6, 7, 8, 9, 5},
                        .positions = {0, 1, 2, 3, 2, 0},
                        .subtree_end = {5, 5, 4, 4, 5, 6}};
  packed.check_invariants();
  PackedSequence crossing = packed;
  crossing.subtree_end[2] = 6;  // ends after its parent
  EXPECT_THROW(crossing.check_invariants(), CheckFailure);
  PackedSequence shifted = packed;
  shifted.positions[4] = 3;
  EXPECT_THROW(shifted.check_invariants(), CheckFailure);
  PackedSequence empty = packed;
  empty.subtree_end[3] = 3;
  EXPECT_THROW(empty.check_invariants(), CheckFailure);
}

}  // namespace
}  // namespace treepo
