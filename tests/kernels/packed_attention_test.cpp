// Holds the packed attention's plan against its drawn example, its forward against a loop over
// every pair of tokens, its backward against the matrix formulas, over random trees.

#include "kernels/packed_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "base/threads.h"
#include "each_isa.h"
#include "normals.h"

namespace treepo {
namespace {

TREEPO_EACH_ISA(PackedAttention);

TEST(PackedAttentionPlan, EqualsTheExampleInItsHeader) {
  const std::vector<int32_t> ends = {5, 5, 4, 4, 5, 6};
  const PackedAttentionPlan plan = plan_packed_attention(ends, 2);
  EXPECT_EQ(plan.block_begin, (std::vector<int32_t>{0, 2, 4, 5, 6}));
  EXPECT_EQ(plan.keys, (std::vector<int32_t>{0, 1, 0, 1, 2, 3, 0, 1, 4, 5}));
  EXPECT_EQ(plan.key_begin, (std::vector<int64_t>{0, 2, 6, 9, 10}));
  EXPECT_EQ(plan.tree_begin, (std::vector<int32_t>{0, 3, 4}));
  const PackedAttentionPlan nothing = plan_packed_attention({}, 2);
  EXPECT_EQ(nothing.num_blocks(), 0);
  EXPECT_EQ(nothing.num_trees(), 0);
}

// Depth-first: each token's parent is some token of the path to the one before it, or none.
// `turns` is how often, in percent, a token does not simply follow the one before it.
std::vector<int32_t> random_trees(uint32_t seed, int32_t count, int64_t turns) {
  const RandomStream stream(seed, Purpose::generate);
  std::vector<int32_t> ends(static_cast<size_t>(count), count), path;
  for (int32_t i = 0; i < count; ++i) {
    if (!path.empty() && stream.integer(1, 100, 0, static_cast<uint32_t>(i)) <= turns) {
      const auto kept = static_cast<size_t>(
          stream.integer(0, static_cast<int64_t>(path.size()) - 1, 1, static_cast<uint32_t>(i)));
      for (size_t k = kept; k < path.size(); ++k) ends[static_cast<size_t>(path[k])] = i;
      path.resize(kept);
    }
    path.push_back(i);
  }
  return ends;
}

struct Case {
  std::vector<int32_t> ends;
  AttentionShape shape;
  std::vector<double> qkv, grad_out;

  int64_t tokens() const { return static_cast<int64_t>(ends.size()); }
  int64_t heads() const { return shape.num_heads + 2 * shape.num_kv_heads; }
  int64_t group() const { return shape.num_heads / shape.num_kv_heads; }
  const double* row(const std::vector<double>& x, int64_t token, int64_t head) const {
    return x.data() + (token * heads() + head) * shape.head_dim;
  }
};

Case make_case(std::vector<int32_t> ends, AttentionShape shape, uint32_t seed) {
  Case c{.ends = std::move(ends), .shape = shape, .qkv = {}, .grad_out = {}};
  c.qkv = normals<double>(seed, c.tokens() * c.heads() * shape.head_dim);
  c.grad_out = normals<double>(seed + 1, c.tokens() * shape.num_heads * shape.head_dim);
  return c;
}

struct Result {
  std::vector<double> out, grad_qkv;
};

Result dense(const Case& c, double scale) {
  const int64_t n = c.tokens(), dim = c.shape.head_dim, kv_heads = c.shape.num_kv_heads;
  Result result{std::vector<double>(static_cast<size_t>(n * c.shape.num_heads * dim)),
                std::vector<double>(c.qkv.size())};
  for (int64_t head = 0; head < c.shape.num_heads; ++head) {
    const int64_t key_head = c.shape.num_heads + head / c.group(), value_head = key_head + kv_heads;
    for (int64_t i = 0; i < n; ++i) {
      std::vector<int64_t> seen;
      std::vector<double> p;
      for (int64_t j = 0; j <= i; ++j)
        if (i < c.ends[static_cast<size_t>(j)]) {
          seen.push_back(j);
          const double* q = c.row(c.qkv, i, head);
          p.push_back(scale * std::inner_product(q, q + dim, c.row(c.qkv, j, key_head), 0.0));
        }
      const double most = *std::max_element(p.begin(), p.end());
      double total = 0;
      for (double& x : p) total += x = std::exp(x - most);
      for (double& x : p) x /= total;

      const int64_t at = (i * c.shape.num_heads + head) * dim;
      const double* grad = c.grad_out.data() + at;
      double along = 0;
      std::vector<double> grad_p;
      for (size_t k = 0; k < seen.size(); ++k) {
        const double* value = c.row(c.qkv, seen[k], value_head);
        grad_p.push_back(std::inner_product(grad, grad + dim, value, 0.0));
        along += p[k] * grad_p[k];
        for (int64_t d = 0; d < dim; ++d)
          result.out[static_cast<size_t>(at + d)] += p[k] * value[d];
      }
      const auto grad_row = [&](int64_t token, int64_t h) {
        return result.grad_qkv.data() + (token * c.heads() + h) * dim;
      };
      for (size_t k = 0; k < seen.size(); ++k) {
        const double grad_score = p[k] * (grad_p[k] - along) * scale;
        for (int64_t d = 0; d < dim; ++d) {
          grad_row(i, head)[d] += grad_score * c.row(c.qkv, seen[k], key_head)[d];
          grad_row(seen[k], key_head)[d] += grad_score * c.row(c.qkv, i, head)[d];
          grad_row(seen[k], value_head)[d] += p[k] * grad[d];
        }
      }
    }
  }
  return result;
}

template <typename T>
Result run(const Case& c, double scale, int32_t block_tokens) {
  const PackedAttentionPlan plan = plan_packed_attention(c.ends, block_tokens);
  const std::vector<T> qkv(c.qkv.begin(), c.qkv.end());
  const std::vector<T> grad_out(c.grad_out.begin(), c.grad_out.end());
  std::vector<T> out(c.grad_out.size(), T{99}), grad_qkv(c.qkv.size(), T{99});
  std::vector<T> lse(static_cast<size_t>(c.tokens() * c.shape.num_heads));
  packed_attention_forward_cpu<T>(plan, c.shape, static_cast<T>(scale), qkv.data(), out.data(),
                                  lse.data());
  packed_attention_backward_cpu<T>(plan, c.shape, static_cast<T>(scale), qkv.data(), out.data(),
                                   lse.data(), grad_out.data(), grad_qkv.data());
  return {{out.begin(), out.end()}, {grad_qkv.begin(), grad_qkv.end()}};
}

void expect_near(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  EXPECT_LT(most, tolerance);
}

void compare(const Case& c) {
  const double scale = 1 / std::sqrt(static_cast<double>(c.shape.head_dim));
  const Result expected = dense(c, scale);
  for (const int32_t block_tokens : {1, 5, 32, 1000}) {
    SCOPED_TRACE(testing::Message() << c.tokens() << " tokens, blocks of " << block_tokens);
    const Result wide = run<double>(c, scale, block_tokens);
    expect_near(wide.out, expected.out, 1e-13);
    expect_near(wide.grad_qkv, expected.grad_qkv, 1e-12);
    const Result narrow = run<float>(c, scale, block_tokens);
    expect_near(narrow.out, expected.out, 1e-5);
    expect_near(narrow.grad_qkv, expected.grad_qkv, 1e-4);
  }
}

TEST_P(PackedAttention, EqualsDenseMaskOnRandomTrees) {
  const AttentionShape shapes[] = {{4, 2, 24}, {1, 1, 2}, {6, 2, 8}, {3, 3, 20}, {8, 1, 64}};
  for (uint32_t seed = 0; seed < 15; ++seed) {
    const int64_t turns = seed % 3 == 0 ? 3 : seed % 3 == 1 ? 20 : 70;
    const auto tokens = static_cast<int32_t>(1 + seed * seed);
    compare(make_case(random_trees(seed, tokens, turns), shapes[seed % 5], seed));
  }
}

TEST_P(PackedAttention, EqualsDenseMaskOnChainCombAndSingleTokens) {
  const AttentionShape shape = {4, 2, 8};
  compare(make_case({1}, shape, 1));
  compare(make_case({1, 2, 3}, shape, 2));                       // three trees of one token
  compare(make_case(std::vector<int32_t>(300, 300), shape, 3));  // a chain over several tiles
  std::vector<int32_t> comb;  // a spine with a tooth of one token at each step
  for (int32_t i = 0; i < 60; ++i) comb.push_back(i % 2 == 0 ? 60 : i + 1);
  compare(make_case(comb, shape, 4));
}

TEST_P(PackedAttention, SameBitsForAnyNumberOfThreads) {
  const Case c = make_case(random_trees(3, 900, 10), {4, 2, 24}, 5);
  set_num_threads(1);
  const Result one = run<float>(c, 0.2, 32);
  for (const int threads : {2, 3}) {
    set_num_threads(threads);
    for (int repeat = 0; repeat < 3; ++repeat) {
      const Result again = run<float>(c, 0.2, 32);
      EXPECT_EQ(again.out, one.out);
      EXPECT_EQ(again.grad_qkv, one.grad_qkv);
    }
  }
  set_num_threads(0);
}

}  // namespace
}  // namespace treepo
