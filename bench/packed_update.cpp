// Packed update against the same trajectories one by one, in the same code: time ratio against the
// ratio of the tokens run. Both give the same gradient, which is checked before anything is timed.
// Usage: bench_packed_update [repetitions, 15 by default]

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <vector>

#include "base/random.h"
#include "learn/update.h"

namespace treepo {
namespace {

constexpr int64_t kVocab = 24;

struct Shape {
  const char* name;
  int32_t num_trees, width, prompt_tokens, segment_tokens;
  int32_t min_response, max_response;  // each trajectory's length is drawn from this range
};

// Doubles its paths at each segment's end until there are `width`.
SearchTree grow_tree(const Shape& shape, uint64_t query) {
  const RandomStream random(1, Purpose::generate, query);
  const auto token = [&](uint32_t node, uint32_t at) {
    return static_cast<int32_t>(random.integer(0, kVocab - 1, node, at));
  };
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < shape.prompt_tokens; ++i)
    prompt.push_back(token(0, static_cast<uint32_t>(i)));
  SearchTree tree(prompt, shape.segment_tokens);
  std::vector<int32_t> ends = {0, 0};
  while (!ends.empty()) {
    std::vector<int32_t> next;
    for (const int32_t end : ends) {
      const int32_t node = tree.add_child(end);
      const auto length = static_cast<int32_t>(random.integer(
          shape.min_response, shape.max_response, static_cast<uint32_t>(node), 0, 1));
      while (tree.node(node).num_tokens < shape.segment_tokens &&
             (tree.path_tokens(node) < length || tree.node(node).num_tokens == 0))
        tree.append(
            node,
            token(static_cast<uint32_t>(node), static_cast<uint32_t>(tree.node(node).num_tokens)),
            0, 0);
      if (tree.path_tokens(node) >= length) {
        tree.stop(node, StopReason::eos);
      } else {
        next.push_back(node);
      }
    }
    ends.clear();
    const size_t copies =
        2 * next.size() + tree.leaves().size() <= static_cast<size_t>(shape.width) ? 2 : 1;
    for (const int32_t node : next) ends.insert(ends.end(), copies, node);
  }
  return tree;
}

Decoder quickstart_model(c10::ScalarType dtype) {
  const ModelOptions options;  // its defaults: hidden 96, 3 layers, 4/2 heads, 256
  return Decoder::random(fresh_model_config(options, kVocab, {}), 1, c10::Device(c10::kCPU), dtype);
}

std::vector<TrainingTree> training_trees(const Decoder& decoder,
                                         const std::deque<SearchTree>& trees) {
  std::vector<TrainingTree> training;
  for (const SearchTree& tree : trees) {
    training.push_back({.tree = &tree, .leaves = tree.leaves()});
    for (size_t i = 0; i < tree.leaves().size(); ++i)
      training.back().advantages.push_back(i % 3 == 0 ? 1.3 : -0.7);
  }
  auto logprobs = compute_logprobs(decoder, training, {});
  for (size_t i = 0; i < training.size(); ++i) training[i].old_logprobs = std::move(logprobs[i]);
  return training;
}

double gradient_difference(const std::deque<SearchTree>& trees) {
  Decoder decoder = quickstart_model(at::kDouble);
  const auto training = training_trees(decoder, trees);
  decoder.parameters().enable_gradients();
  std::vector<at::Tensor> gradients;
  for (const bool packed : {true, false}) {
    const PackRunOptions options{.packed = packed};
    decoder.parameters().zero_gradients();
    accumulate_gradients(decoder, make_packs(training, LeafWeight::one, options), {}, 100, options);
    gradients.push_back(decoder.parameters().gradients().clone());
  }
  return ((gradients[0] - gradients[1]).norm() / gradients[1].norm()).item<double>();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

bool measure(const Shape& shape, int repetitions) {
  std::deque<SearchTree> trees;
  for (int32_t i = 0; i < shape.num_trees; ++i)
    trees.push_back(grow_tree(shape, static_cast<uint64_t>(i)));
  const double difference = gradient_difference(trees);
  if (!(difference < 1e-10)) {
    fmt::print("{}: packed and apart differ by {:.1e}: nothing timed\n", shape.name, difference);
    return false;
  }
  Decoder decoder = quickstart_model(at::kFloat);
  const auto training = training_trees(decoder, trees);
  AdamW optimizer = make_optimizer(decoder, {});
  std::vector<double> seconds[2];
  UpdateReport reports[2];
  for (int i = -2; i < repetitions; ++i) {
    for (const bool packed : {true, false}) {
      const auto start = std::chrono::steady_clock::now();
      reports[packed] = update(decoder, optimizer, training, {}, shape.max_response,
                               /*learning_rate=*/0.0, {.packed = packed});
      const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
      if (i >= 0) seconds[packed].push_back(elapsed.count());
    }
  }
  const double packed = median(seconds[true]), apart = median(seconds[false]);
  const double tokens = static_cast<double>(reports[false].packed_tokens) /
                        static_cast<double>(reports[true].packed_tokens);
  fmt::print(
      "{}: gradients differ by {:.0e} (float64); apart {} tokens {:.1f} ms, packed {} tokens "
      "{:.1f} ms: {:.2f} x faster, token ratio {:.2f}, share reached {:.2f}\n",
      shape.name, difference, reports[false].packed_tokens, 1e3 * apart,
      reports[true].packed_tokens, 1e3 * packed, apart / packed, tokens, apart / packed / tokens);
  return true;
}

}  // namespace
}  // namespace treepo

int main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::max(1, std::atoi(argv[1])) : 15;
  fmt::print("{} threads, float32, quickstart model; medians of {} alternating updates\n",
             at::get_num_threads(), repetitions);
  const treepo::Shape shapes[] = {
      {"4 trees, width 16, 5 x 8 tokens, prompt 12", 4, 16, 12, 8, 40, 40},
      {"4 trees, width 16, 8 x 8 tokens, ends after 33 to 44, prompt 12", 4, 16, 12, 8, 33, 44}};
  bool good = true;
  for (const treepo::Shape& shape : shapes) good = treepo::measure(shape, repetitions) && good;
  return good ? 0 : 1;
}
