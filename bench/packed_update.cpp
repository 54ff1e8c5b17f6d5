// Packed update against the same trajectories one by one, in the same code: time ratio against the
// ratio of the tokens run. Both give the same gradient, which is checked before anything is timed.
// Usage: bench_packed_update [repetitions, 15 by default]

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <span>
#include <vector>

#include "base/large_blocks.h"
#include "grown_tree.h"
#include "learn/update.h"
#include "model/reused_memory.h"

namespace treepo {
namespace {

constexpr int32_t kVocab = 24;

Decoder quickstart_model(c10::ScalarType dtype) {
  const ModelOptions options;  // its defaults: hidden 96, 3 layers, 4/2 heads, 256
  return Decoder::random(fresh_model_config(options, kVocab, {}), 1, c10::Device(c10::kCPU), dtype);
}

std::vector<TrainingTree> with_logprobs(const Decoder& decoder, std::span<const SearchTree> trees) {
  std::vector<TrainingTree> training = training_trees(trees);
  auto logprobs = compute_logprobs(decoder, training, {});
  for (size_t i = 0; i < training.size(); ++i) training[i].old_logprobs = std::move(logprobs[i]);
  return training;
}

double gradient_difference(std::span<const SearchTree> trees) {
  Decoder decoder = quickstart_model(at::kDouble);
  const auto training = with_logprobs(decoder, trees);
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

bool measure(const GrownShape& shape, int repetitions) {
  std::vector<SearchTree> trees;
  for (int32_t i = 0; i < shape.num_trees; ++i)
    trees.push_back(grow_tree(shape, kVocab, static_cast<uint64_t>(i)));
  const double difference = gradient_difference(trees);
  if (!(difference < 1e-10)) {
    fmt::print("{}: packed and apart differ by {:.1e}: nothing timed\n", shape.name, difference);
    return false;
  }
  Decoder decoder = quickstart_model(at::kFloat);
  const auto training = with_logprobs(decoder, trees);
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
  // Memory is handled as in the program.
  treepo::give_back_large_blocks();
  treepo::reuse_tensor_memory();
  const int repetitions = argc > 1 ? std::max(1, std::atoi(argv[1])) : 15;
  fmt::print("{} threads, float32, quickstart model; medians of {} alternating updates\n",
             at::get_num_threads(), repetitions);
  const treepo::GrownShape shapes[] = {
      {"4 trees, width 16, 5 x 8 tokens, prompt 12", 4, 16, 12, 8, 40, 40},
      {"4 trees, width 16, 8 x 8 tokens, ends after 33 to 44, prompt 12", 4, 16, 12, 8, 33, 44}};
  bool good = true;
  for (const treepo::GrownShape& shape : shapes) good = treepo::measure(shape, repetitions) && good;
  return good ? 0 : 1;
}
