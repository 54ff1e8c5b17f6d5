// Holds the CUDA packed attention, forward and backward, against a dense mask under autograd in
// float64.

#include "model/cuda_packed_attention.h"

#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "each_device.h"
#include "model/packed_attention.h"
#include "model/packed_forward.h"
#include "model/random_tree.h"
#include "model/tiny_models.h"

namespace treepo {
namespace {

TREEPO_EACH_DEVICE(CudaPacked);

struct Result {
  at::Tensor out, gradient;
};

template <typename Attention>
Result run(const at::Tensor& qkv, const at::Tensor& weights, const Attention& attention) {
  const at::Tensor leaf = qkv.detach().clone().set_requires_grad(true);
  const at::Tensor out = attention(leaf);
  (out * weights.to(out.device(), out.scalar_type())).sum().backward();
  return {out.detach(), leaf.grad()};
}

at::Tensor dense(const at::Tensor& qkv, const AttentionShape& shape,
                 const std::vector<int32_t>& ends) {
  const auto parts =
      qkv.split_with_sizes({shape.num_heads, shape.num_kv_heads, shape.num_kv_heads}, 1);
  const int64_t n = qkv.size(0), group = shape.num_heads / shape.num_kv_heads;
  const at::Tensor q = parts[0].transpose(0, 1);
  const at::Tensor k = parts[1].transpose(0, 1).repeat_interleave(group, 0);
  const at::Tensor v = parts[2].transpose(0, 1).repeat_interleave(group, 0);
  const at::Tensor query = at::arange(n).unsqueeze(1), key = at::arange(n).unsqueeze(0);
  const at::Tensor end = at::tensor(at::ArrayRef<int32_t>(ends)).unsqueeze(0);
  const at::Tensor hidden = key.gt(query).logical_or(query.ge(end));
  const at::Tensor scores = q.matmul(k.transpose(1, 2)) / std::sqrt(shape.head_dim);
  return scores.masked_fill(hidden, -INFINITY)
      .softmax(-1)
      .matmul(v)
      .transpose(0, 1)
      .reshape({n, -1});
}

// Scores, weights and their gradients are rounded before they meet keys and values, and out before
// backward reads it.
void compare(c10::Device device, const std::vector<int32_t>& ends, const AttentionShape& shape,
             uint64_t seed) {
  const auto n = static_cast<int64_t>(ends.size());
  const int64_t heads = shape.num_heads, kv_heads = shape.num_kv_heads;
  for (const c10::ScalarType dtype : kNarrow) {
    SCOPED_TRACE(testing::Message() << n << " tokens, " << heads << "/" << kv_heads << " heads of "
                                    << shape.head_dim << ", " << c10::toString(dtype));
    const at::Tensor qkv =
        (1.5 * normals(seed, {n, heads + 2 * kv_heads, shape.head_dim})).to(dtype);
    const at::Tensor weights = normals(seed + 1, {n, heads * shape.head_dim}).to(dtype);
    const Result expected = run(qkv.to(at::kDouble), weights,
                                [&](const at::Tensor& x) { return dense(x, shape, ends); });
    CudaPackedLayer layer(shape, ends, device, dtype);
    const auto kernel = [&](const at::Tensor& x) { return layer.attend(0, x); };
    const Result actual = run(qkv.to(device), weights, kernel);
    EXPECT_LT(largest_difference(actual.out, expected.out), 8 * rounding(dtype));
    EXPECT_LT(relative_difference(actual.out, expected.out), rounding(dtype));
    const std::pair<int64_t, int64_t> parts[] = {
        {0, heads}, {heads, kv_heads}, {heads + kv_heads, kv_heads}};
    for (const auto& [first, count] : parts) {
      const at::Tensor a = actual.gradient.narrow(1, first, count);
      const at::Tensor b = expected.gradient.narrow(1, first, count);
      const double most = b.abs().max().item<double>();
      EXPECT_LT(largest_difference(a, b), 4 * rounding(dtype) * most + 1e-3) << "heads " << first;
      if (most > 0) {  // 0: every query sees one key
        EXPECT_LT(relative_difference(a, b), 2 * rounding(dtype)) << "heads " << first;
      }
    }
    const Result again = run(qkv.to(device), weights, kernel);
    EXPECT_TRUE(at::equal(again.out, actual.out));
    EXPECT_TRUE(at::equal(again.gradient, actual.gradient));
  }
}

TEST_P(CudaPacked, EqualsDenseMaskOnRandomTrees) {
  const AttentionShape shapes[] = {{2, 1, 64}, {7, 1, 128}, {2, 2, 64}, {6, 2, 64}};
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const auto count = static_cast<int32_t>(1 + seed * seed * 4);
    const int64_t turns = seed % 3 == 0 ? 3 : seed % 3 == 1 ? 20 : 70;
    const RandomTrees trees = random_trees(seed, count, turns, 10);
    emulated_multiprocessors = seed % 2 == 0 ? 1 : 100;
    compare(device, trees.packed.subtree_end, shapes[seed % 4], seed);
  }
}

// A prompt that hundreds of queries see: its keys' queries are split over tasks.
TEST_P(CudaPacked, EqualsDenseMaskOnChainCombAndBush) {
  emulated_multiprocessors = 100;
  compare(device, {1}, {4, 2, 64}, 1);
  compare(device, {1, 2, 3}, {4, 2, 64}, 2);
  compare(device, std::vector<int32_t>(150, 150), {2, 1, 64}, 3);
  std::vector<int32_t> comb;  // a spine with a tooth of one token at each step
  for (int32_t i = 0; i < 100; ++i) comb.push_back(i % 2 == 0 ? 100 : i + 1);
  compare(device, comb, {3, 1, 64}, 4);
  std::vector<int32_t> bush(20, 620);  // a prompt of 20 and branches of 30
  for (int32_t i = 20; i < 620; ++i) bush.push_back(20 + ((i - 20) / 30 + 1) * 30);
  compare(device, bush, {1, 1, 64}, 5);
}

TEST_P(CudaPacked, OtherShapesAndTypesFallBack) {
  EXPECT_TRUE(CudaPackedLayer::serves(device, at::kHalf, {4, 2, 128}));
  EXPECT_FALSE(CudaPackedLayer::serves(device, at::kHalf, {4, 2, 80}));
  EXPECT_FALSE(CudaPackedLayer::serves(device, at::kFloat, {4, 2, 64}));
  EXPECT_FALSE(CudaPackedLayer::serves(device, at::kBFloat16, {65, 1, 64}));
}

// The decoder's whole packed pass by kernels and by tensor operations in float64.
TEST_P(CudaPacked, DecoderGradientsFollowFloat64) {
  ModelConfig config = tiny_config("qwen3");
  config.head_dim = 64;
  config.hidden_size = 64;
  const RandomTrees trees = random_trees(11, 90, 15, config.vocab_size);
  const at::Tensor weights = normals(5, {90, config.hidden_size});
  Decoder exact = Decoder::random(config, 7, at::kCPU, at::kDouble);
  Decoder narrow = Decoder::random(config, 7, device, at::kBFloat16);
  copy_weights(narrow, exact);
  at::Tensor gradients[2];
  for (Decoder* decoder : {&exact, &narrow}) {
    decoder->parameters().enable_gradients();
    const at::Tensor hidden = packed_hidden(*decoder, trees.packed);
    (hidden * weights.to(hidden.device(), hidden.scalar_type())).sum().backward();
    gradients[decoder == &narrow] = wide(decoder->parameters().gradients());
  }
  EXPECT_LT(relative_difference(gradients[1], gradients[0]), 0.03);
}

TEST(CudaPackedPlan, KeysOfABlockAndItsQueries) {
  // A prompt of 2 tokens, branches of 2 and 1; then another tree of one token.
  const std::vector<int32_t> ends = {5, 5, 4, 4, 5, 6};
  const AttentionShape shape = {.num_heads = 32, .num_kv_heads = 1, .head_dim = 64};
  EXPECT_EQ(cuda_packed_block(shape), 2);
  const CudaPackedPlan plan = plan_cuda_packed(ends, shape, 1);
  ASSERT_EQ(plan.blocks.size(), 4u);
  EXPECT_EQ(plan.blocks[0].first, 2);  // the most keys: 0, 1, 2, 3
  EXPECT_EQ(plan.blocks[0].num_keys, 4);
  EXPECT_EQ(plan.blocks[0].num_full, 3);  // key 3 is hidden from query 2
  EXPECT_EQ(plan.key_task_begin, (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(plan.key_tasks[0].end_key, 6);
  EXPECT_EQ(plan.key_tasks[0].end_query, 6);
}

// Against the CPU's plan, which lists keys one by one.
TEST(CudaPackedPlan, RunsAreTheKeysOfEachBlock) {
  const AttentionShape shape = {.num_heads = 7, .num_kv_heads = 1, .head_dim = 64};
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<int32_t> ends =
        random_trees(seed, static_cast<int32_t>(1 + 17 * seed), 30, 10).packed.subtree_end;
    const PackedAttentionPlan expected = plan_packed_attention(ends, cuda_packed_block(shape));
    const CudaPackedPlan plan = plan_cuda_packed(ends, shape, 8);
    std::vector<int32_t> keys(static_cast<size_t>(plan.num_keys), -1);
    for (const CudaKeyRun& run : plan.key_runs)
      std::iota(keys.begin() + run.at, keys.begin() + run.at + run.count, run.first);
    EXPECT_EQ(keys, expected.keys);
    ASSERT_EQ(std::ssize(plan.blocks), expected.num_blocks());
    for (const CudaQueryBlock& block : plan.blocks) {
      const auto at = static_cast<size_t>(
          std::lower_bound(expected.block_begin.begin(), expected.block_begin.end(), block.first) -
          expected.block_begin.begin());
      EXPECT_EQ(block.first, expected.block_begin[at]);
      EXPECT_EQ(block.end, expected.block_begin[at + 1]);
      EXPECT_EQ(block.first_key, expected.key_begin[at]);
      EXPECT_EQ(block.num_keys, expected.key_begin[at + 1] - expected.key_begin[at]);
      const auto seen_by_all = [&](int32_t key) {
        return key <= block.first && ends[static_cast<size_t>(key)] >= block.end;
      };
      const auto first = keys.begin() + block.first_key, full = first + block.num_full;
      EXPECT_TRUE(std::all_of(first, full, seen_by_all));
      EXPECT_TRUE(block.num_full == block.num_keys || !seen_by_all(*full));
    }
  }
}

}  // namespace
}  // namespace treepo
