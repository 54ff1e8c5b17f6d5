// Decode attention over a paged cache against this machine's roof: the larger of the time to read
// every key and value once at the measured bandwidth and the time for its arithmetic at the
// measured rate of a large matrix product. Results are held against softmax in double before
// anything is timed.
// Usage: bench_tree_attention [repetitions, 9 by default]

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <type_traits>
#include <vector>

#include "base/random.h"
#include "base/threads.h"
#include "evaluate/machine_roof.h"
#include "kernels/aligned_vector.h"
#include "kernels/tree_attention_plan.h"
#include "whole_run.h"

namespace treepo {
namespace {

constexpr int32_t kPageTokens = 16;

double median_seconds(int repetitions, const std::function<void()>& run) {
  run();
  std::vector<double> times;
  for (int i = 0; i < repetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    times.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + repetitions / 2, times.end());
  return times[static_cast<size_t>(repetitions / 2)];
}

// Trees of 1,048 shared tokens and four levels of segments of 250, each twice as many as the one
// above: 16 rows with a context of 2,048 each, whose last pages are not full.
struct Trees {
  TreeAttentionWork work;
  int32_t rows = 0, pages = 0;

  void add_run(int32_t tokens, int32_t first_row, int32_t num_rows) {
    add_whole_run(work, pages, tokens, first_row, num_rows);
  }

  int64_t unique_tokens() const {
    int64_t sum = 0;
    for (const int32_t tokens : work.run_tokens) sum += tokens;
    return sum;
  }
  // Bytes of the cache lines of one layer that the kernel reads, each piece once: keys [head_dim,
  // page], where a piece of fewer tokens may touch all lines, and values [page, head_dim].
  int64_t bytes_read(const AttentionShape& shape, int64_t number_bytes) const {
    const auto lines = [](int64_t bytes) { return (bytes + 63) / 64 * 64; };
    const int64_t page_row = kPageTokens * number_bytes;
    int64_t sum = 0;
    for (const int32_t tokens : work.piece_tokens) {
      const int64_t key_row = page_row <= 64 ? page_row : lines(tokens * number_bytes);
      sum += shape.num_kv_heads *
             (shape.head_dim * key_row + lines(tokens * shape.head_dim * number_bytes));
    }
    return sum;
  }
  int64_t visible_pairs() const {
    int64_t sum = 0;
    for (const int32_t visible : work.pair_visible) sum += visible;
    return sum;
  }
};

Trees four_trees() {
  Trees trees;
  trees.work.page_tokens = kPageTokens;
  for (int tree = 0; tree < 4; ++tree, trees.rows += 16) {
    trees.add_run(1048, trees.rows, 16);
    for (int32_t nodes = 2; nodes <= 16; nodes *= 2)
      for (int32_t node = 0; node < nodes; ++node)
        trees.add_run(250, trees.rows + node * 16 / nodes, 16 / nodes);
  }
  return trees;
}

Trees rows_apart() {
  Trees trees;
  trees.work.page_tokens = kPageTokens;
  for (; trees.rows < 4; ++trees.rows) trees.add_run(2048, trees.rows, 1);
  return trees;
}

template <typename S>
S stored(double x) {
  if constexpr (std::is_same_v<S, BFloat16>)
    return to_bfloat16(static_cast<float>(x));
  else
    return static_cast<S>(x);
}
double value(BFloat16 x) {
  return to_float(x);
}
double value(float x) {
  return static_cast<double>(x);
}

// One layer after another, as a model does, so that no layer is in a cache when it is read.
template <typename S>
class Bench {
 public:
  Bench(const Trees& trees, const AttentionShape& shape)
      : trees_(trees),
        shape_(shape),
        page_numbers_(shape.num_kv_heads * shape.head_dim * int64_t{kPageTokens}) {
    const int64_t layer_numbers = trees.pages * page_numbers_;
    layers_ = std::max<int64_t>(1, kBytes / (2 * layer_numbers * int64_t{sizeof(S)}));
    keys_.resize(static_cast<size_t>(layers_ * layer_numbers));
    values_.resize(keys_.size());
    queries_.resize(static_cast<size_t>(trees.rows * shape.num_heads * shape.head_dim));
    out_.resize(queries_.size());
    const RandomStream stream(1, Purpose::generate);
    uint32_t at = 0;
    for (float& q : queries_) q = static_cast<float>(stream.normal(0, at++));
    for (size_t i = 0; i < keys_.size(); ++i) {  // drawn once, then repeated with a period
      constexpr size_t kPeriod = 100'003;
      keys_[i] =
          i < kPeriod ? stored<S>(stream.normal(1, static_cast<uint32_t>(i))) : keys_[i - kPeriod];
      values_[i] = i < kPeriod ? stored<S>(stream.normal(2, static_cast<uint32_t>(i)))
                               : values_[i - kPeriod];
    }
  }

  void run_layer(int64_t layer) {
    const int64_t first = layer * trees_.pages * page_numbers_;
    if (layer == 0) plan_.make(trees_.work, shape_, trees_.rows);  // as a step does
    tree_attention_cpu<S>(plan_, trees_.work, shape_, scale(), queries_.data(),
                          shape_.num_heads * shape_.head_dim, keys_.data() + first,
                          values_.data() + first, out_.data());
  }

  // Largest difference from softmax in double, of the first layer.
  double largest_error() {
    run_layer(0);
    double error = 0;
    for (int32_t row = 0; row < trees_.rows; row += 5)
      for (int32_t head = 0; head < shape_.num_heads; ++head)
        error = std::max(error, row_error(row, head));
    return error;
  }

  double seconds(int repetitions) {
    return median_seconds(repetitions,
                          [&] {
                            for (int64_t layer = 0; layer < layers_; ++layer) run_layer(layer);
                          }) /
           static_cast<double>(layers_);
  }

 private:
  static constexpr int64_t kBytes = int64_t{512} << 20;

  float scale() const { return 1 / std::sqrt(static_cast<float>(shape_.head_dim)); }

  // Calls f(key, values, stride of the key) for each key that the row sees.
  template <typename F>
  void for_each_key(int32_t row, int32_t kv_head, const F& f) const {
    const TreeAttentionWork& work = trees_.work;
    for (size_t run = 0; run < work.run_tokens.size(); ++run) {
      const auto begin = work.pair_query.begin() + work.run_pair_begin[run];
      const auto end = work.pair_query.begin() + work.run_pair_begin[run + 1];
      if (std::find(begin, end, row) == end) continue;
      for (auto p = static_cast<size_t>(work.run_piece_begin[run]);
           p < static_cast<size_t>(work.run_piece_begin[run + 1]); ++p)
        for (int64_t token = 0; token < work.piece_tokens[p]; ++token) {
          const int64_t head_begin =
              work.piece_page[p] * page_numbers_ + kv_head * int64_t{kPageTokens} * shape_.head_dim;
          f(keys_.data() + head_begin + token,
            values_.data() + head_begin + token * shape_.head_dim);
        }
    }
  }

  double row_error(int32_t row, int32_t head) const {
    const size_t dim = static_cast<size_t>(shape_.head_dim);
    const size_t first = static_cast<size_t>(row * shape_.num_heads + head) * dim;
    std::vector<double> sums(dim);
    double total = 0;
    for_each_key(row, head / (shape_.num_heads / shape_.num_kv_heads),
                 [&](const S* key, const S* values) {
                   double score = 0;
                   for (size_t i = 0; i < dim; ++i)
                     score += value(queries_[first + i]) * value(key[i * kPageTokens]);
                   const double weight = std::exp(score * value(scale()));
                   total += weight;
                   for (size_t i = 0; i < dim; ++i) sums[i] += weight * value(values[i]);
                 });
    double error = 0;
    for (size_t i = 0; i < dim; ++i)
      error = std::max(error, std::abs(sums[i] / total - value(out_[first + i])));
    return error;
  }

  const Trees& trees_;
  AttentionShape shape_;
  TreeAttentionPlan plan_;
  int64_t page_numbers_, layers_ = 0;
  AlignedVector<S> keys_, values_;  // as tensors are
  AlignedVector<float> queries_, out_;
};

double product_rate() {
  constexpr int64_t kSize = 1024;
  const at::Tensor a = at::randn({kSize, kSize}), b = at::randn({kSize, kSize});
  return 2.0 * kSize * kSize * kSize / median_seconds(9, [&] { a.mm(b); });
}

template <typename S>
void measure(const char* name, const Trees& trees, const AttentionShape& shape, int repetitions,
             double bandwidth, double rate) {
  Bench<S> bench(trees, shape);
  const double error = bench.largest_error();
  if (!(error < 1e-5)) {
    fmt::print("{}: differs from softmax in double by {}\n", name, error);
    std::exit(1);
  }
  const double seconds = bench.seconds(repetitions);
  const auto bytes = static_cast<double>(trees.unique_tokens() * 2 * shape.num_kv_heads *
                                         shape.head_dim * int64_t{sizeof(S)});
  const auto operations =
      static_cast<double>(4 * trees.visible_pairs() * shape.num_heads * shape.head_dim);
  const double roof = std::max(bytes / bandwidth, operations / rate);
  fmt::print(
      "{:<22} {:<9} {:>2}/{} heads of {:>3}: {:>8.3f} ms, {:>5.1f} GB/s ({:>3.0f} %), {:>6.1f} "
      "GFLOP/s ({:>3.0f} %), {:>3.0f} % of the roof; read / unique bytes {:.2f}\n",
      name, sizeof(S) == 2 ? "bfloat16" : "float32", shape.num_heads, shape.num_kv_heads,
      shape.head_dim, seconds * 1e3, bytes / seconds / 1e9, 100 * bytes / seconds / bandwidth,
      operations / seconds / 1e9, 100 * operations / seconds / rate, 100 * roof / seconds,
      static_cast<double>(trees.bytes_read(shape, sizeof(S))) / bytes);
  std::fflush(stdout);
}

void run(int repetitions) {
  const int threads = num_threads();
  at::set_num_threads(threads);
  const double bandwidth = measure_read_bandwidth(threads), rate = product_rate();
  fmt::print("{} threads; memory read at {:.1f} GB/s; float32 product at {:.0f} GFLOP/s\n", threads,
             bandwidth / 1e9, rate / 1e9);
  const Trees shared = four_trees(), apart = rows_apart();
  shared.work.check_invariants(shared.rows);
  apart.work.check_invariants(apart.rows);
  for (const AttentionShape& shape : {AttentionShape{10, 2, 64}, AttentionShape{12, 2, 128}}) {
    measure<float>("64 rows in 4 trees", shared, shape, repetitions, bandwidth, rate);
    measure<BFloat16>("64 rows in 4 trees", shared, shape, repetitions, bandwidth, rate);
    measure<float>("4 rows, nothing shared", apart, shape, repetitions, bandwidth, rate);
    measure<BFloat16>("4 rows, nothing shared", apart, shape, repetitions, bandwidth, rate);
  }
}

}  // namespace
}  // namespace treepo

int main(int argc, char** argv) {
  treepo::run(argc > 1 ? std::max(1, std::atoi(argv[1])) : 9);
}
