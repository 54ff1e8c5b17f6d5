// Attention over packed trees, forward and backward, against libtorch's scaled dot product
// attention over their trajectories apart, alternately. What sharing can save is the ratio of
// visible (query, key) pairs. Results and gradients are compared in double before anything is
// timed. Usage: bench_packed_attention [repetitions, 7 by default]

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <numeric>
#include <vector>

#include "base/threads.h"
#include "model/packed_attention.h"

namespace treepo {
namespace {

constexpr int32_t kBlock = 16;

struct Trees {
  std::vector<int32_t> subtree_end;
  std::vector<std::vector<int64_t>> trajectories;  // packed tokens of each

  int64_t tokens() const { return static_cast<int64_t>(subtree_end.size()); }

  void add_subtree(std::vector<int64_t> path, int32_t tokens, int32_t segment, int32_t levels) {
    const size_t first = subtree_end.size();
    for (int32_t i = 0; i < tokens; ++i) path.push_back(static_cast<int64_t>(first) + i);
    subtree_end.resize(first + static_cast<size_t>(tokens));
    if (levels == 0) trajectories.push_back(path);
    for (int child = 0; child < (levels > 0 ? 2 : 0); ++child)
      add_subtree(path, segment, segment, levels - 1);
    for (size_t i = first; i < first + static_cast<size_t>(tokens); ++i)
      subtree_end[i] = static_cast<int32_t>(subtree_end.size());
  }

  // Pairs that are computed packed: each token with its path.
  int64_t packed_pairs() const {
    std::vector<int64_t> depth(subtree_end.size());
    for (const auto& path : trajectories)
      for (size_t i = 0; i < path.size(); ++i)
        depth[static_cast<size_t>(path[i])] = static_cast<int64_t>(i) + 1;
    return std::accumulate(depth.begin(), depth.end(), int64_t{0});
  }
  int64_t pairs_apart() const {
    int64_t sum = 0;
    for (const auto& path : trajectories) {
      const auto n = static_cast<int64_t>(path.size());
      sum += n * (n + 1) / 2;
    }
    return sum;
  }
};

// Forward and backward of both ways from the same qkv [tokens, heads + 2 * kv heads, head_dim].
class Comparison {
 public:
  Comparison(const Trees& trees, const AttentionShape& shape, c10::ScalarType dtype)
      : shape_(shape),
        plan_(std::make_shared<PackedAttentionPlan>(
            plan_packed_attention(trees.subtree_end, kBlock))) {
    const int64_t heads = shape.num_heads, kv_heads = shape.num_kv_heads, dim = shape.head_dim;
    const auto count = static_cast<int64_t>(trees.trajectories.size());
    const auto length = static_cast<int64_t>(trees.trajectories[0].size());
    std::vector<int64_t> tokens;
    for (const auto& path : trees.trajectories)
      tokens.insert(tokens.end(), path.begin(), path.end());
    tokens_ = at::tensor(tokens, at::kLong);
    at::manual_seed(1);
    qkv_ = at::randn({trees.tokens(), heads + 2 * kv_heads, dim}, at::kDouble).to(dtype);
    weights_ = at::randn({trees.tokens(), heads * dim}, at::kDouble).to(dtype);
    const at::Tensor through = at::bincount(tokens_).to(dtype);
    qkv_.set_requires_grad(true);

    // Each trajectory's own leaves, so that gathering them is not part of the time.
    const at::Tensor gathered =
        qkv_.detach().index_select(0, tokens_).view({count, length, heads + 2 * kv_heads, dim});
    for (const at::Tensor& part : gathered.split_with_sizes({heads, kv_heads, kv_heads}, 2)) {
      apart_.push_back(part.transpose(1, 2).contiguous());
      apart_.back().set_requires_grad(true);
    }
    const at::Tensor shared = weights_ / through.unsqueeze(1);
    weights_apart_ = shared.index_select(0, tokens_)
                         .view({count, length, heads, dim})
                         .transpose(1, 2)
                         .contiguous();
  }

  void run_packed() {
    qkv_.mutable_grad() = at::Tensor();
    const at::Tensor out = packed_attention(qkv_, shape_, plan_);
    out.backward(weights_);
  }

  void run_apart() {
    for (at::Tensor& part : apart_) part.mutable_grad() = at::Tensor();
    const at::Tensor out = at::scaled_dot_product_attention(apart_[0], apart_[1], apart_[2], {},
                                                            0.0, /*is_causal=*/true, std::nullopt,
                                                            /*enable_gqa=*/true);
    out.backward(weights_apart_);
  }

  // Between the packed gradient and the sum of the trajectories'.
  double largest_difference() {
    run_packed();
    run_apart();
    std::vector<at::Tensor> parts;
    for (const at::Tensor& part : apart_) parts.push_back(part.grad().transpose(1, 2));
    const at::Tensor apart = at::cat(parts, 2).flatten(0, 1);
    const at::Tensor sum = at::zeros_like(qkv_.grad()).index_add_(0, tokens_, apart);
    return (sum - qkv_.grad()).abs().max().item<double>();
  }

 private:
  AttentionShape shape_;
  std::shared_ptr<const PackedAttentionPlan> plan_;
  at::Tensor tokens_;  // of all trajectories, one after another
  at::Tensor qkv_, weights_, weights_apart_;
  std::vector<at::Tensor> apart_;  // queries, keys, values: [trajectories, heads, length, dim]
};

double seconds(const std::function<void()>& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> x) {
  std::nth_element(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(x.size() / 2), x.end());
  return x[x.size() / 2];
}

void measure(const Trees& trees, const AttentionShape& shape, c10::ScalarType dtype,
             int repetitions) {
  const double difference = Comparison(trees, shape, at::kDouble).largest_difference();
  if (!(difference < 1e-11)) {
    fmt::print("gradients differ by {}\n", difference);
    std::exit(1);
  }
  Comparison comparison(trees, shape, dtype);
  std::vector<double> packed, apart;
  for (int i = 0; i <= repetitions; ++i) {
    const double a = seconds([&] { comparison.run_packed(); });
    const double b = seconds([&] { comparison.run_apart(); });
    if (i == 0) continue;  // warm-up
    packed.push_back(a);
    apart.push_back(b);
  }
  const double ratio =
      static_cast<double>(trees.pairs_apart()) / static_cast<double>(trees.packed_pairs());
  const double faster = median(apart) / median(packed);
  const auto operations =
      static_cast<double>(14 * trees.packed_pairs() * shape.num_heads * shape.head_dim);
  fmt::print(
      "{} {}/{} heads of {}: packed {:.1f} ms ({:.0f} GFLOP/s), apart {:.1f} ms: {:.2f} x, {:.2f} "
      "of the ratio of pairs {:.2f}\n",
      c10::toString(dtype), shape.num_heads, shape.num_kv_heads, shape.head_dim,
      median(packed) * 1e3, operations / median(packed) / 1e9, median(apart) * 1e3, faster,
      faster / ratio, ratio);
  std::fflush(stdout);
}

void run(int repetitions) {
  at::set_num_threads(num_threads());
  Trees trees;  // a prompt of 256 tokens, segments of 128 on four levels: 16 trajectories
  trees.add_subtree({}, 256, 128, 4);
  fmt::print("{} threads, {} packed tokens, {} trajectories of {}\n", num_threads(), trees.tokens(),
             trees.trajectories.size(), trees.trajectories[0].size());
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const AttentionShape& shape : {AttentionShape{10, 2, 64}, AttentionShape{8, 8, 64}})
      measure(trees, shape, dtype, repetitions);
}

}  // namespace
}  // namespace treepo

int main(int argc, char** argv) {
  treepo::run(argc > 1 ? std::max(1, std::atoi(argv[1])) : 7);
}
