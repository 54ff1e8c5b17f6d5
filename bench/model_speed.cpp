// The model at the quickstart's size: one decoding step of 256 rows at depth 40, and forward and
// backward over 1,400 packed tokens, against the time that the matrix products alone would take.
// Kernels and plain tensor operations give the same, which is checked before anything is timed.
// Usage: bench_model_speed [repetitions, 200 by default]

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <vector>

#include "base/threads.h"
#include "model/decoder.h"
#include "model/packed_forward.h"
#include "model/tree_step_model.h"

namespace treepo {
namespace {

constexpr int32_t kVocab = 24, kPageTokens = 16, kTrees = 16, kWidth = 16;
// Tokens of each level: the prompt, then segments that double, the last of them half written.
constexpr int32_t kLevelTokens[] = {12, 8, 8, 8, 4};

Decoder quickstart_decoder() {
  return Decoder::random(
      fresh_model_config(ModelOptions{}, kVocab, {.bos = -1, .eos = 1, .pad = -1}), 1, at::kCPU,
      at::kFloat);
}

int32_t token_at(int32_t i) {
  return (i * 7 + i / 5) % kVocab;
}

// All active paths of the trees decode their next token. The cache's contents do not matter for
// time; the last token of each path is stored anew.
StepBatch decoding_step(int32_t& num_pages) {
  StepBatch batch;
  TreeAttentionWork& work = batch.attention;
  work.page_tokens = kPageTokens;
  num_pages = 0;
  int32_t depth = -1;
  for (const int32_t tokens : kLevelTokens) depth += tokens;
  for (int32_t tree = 0; tree < kTrees; ++tree) {
    int32_t nodes = 1;
    for (const int32_t tokens : kLevelTokens) {
      for (int32_t node = 0; node < nodes; ++node) {
        work.piece_page.push_back(num_pages++);
        work.piece_tokens.push_back(tokens);
        work.run_piece_begin.push_back(num_pages);
        work.run_tokens.push_back(tokens);
        const int32_t below = kWidth / nodes, first = tree * kWidth + node * below;
        for (int32_t row = first; row < first + below; ++row) {
          work.pair_query.push_back(row);
          work.pair_visible.push_back(tokens);
        }
        work.run_pair_begin.push_back(static_cast<int32_t>(work.pair_query.size()));
        if (below == 1) batch.slots.push_back((num_pages - 1) * kPageTokens + tokens - 1);
      }
      nodes = std::min(2 * nodes, kWidth);
    }
  }
  for (int32_t row = 0; row < kTrees * kWidth; ++row) {
    batch.tokens.push_back(token_at(row));
    batch.positions.push_back(depth);
    batch.draws.push_back({.row = row, .uniform = row / double{kTrees * kWidth}});
  }
  return batch;
}

void add_subtree(PackedSequence& packed, int32_t level, int32_t levels, int32_t position) {
  const auto first = packed.tokens.size();
  for (int32_t i = 0; i < kLevelTokens[level]; ++i) {
    packed.tokens.push_back(token_at(packed.size()));
    packed.positions.push_back(position + i);
  }
  const auto last = packed.tokens.size();
  packed.subtree_end.resize(last);
  if (level + 1 < levels)
    for (int child = 0; child < 2; ++child)
      add_subtree(packed, level + 1, levels, position + kLevelTokens[level]);
  for (size_t i = first; i < last; ++i) packed.subtree_end[i] = packed.size();
}

PackedSequence packed_trees(int32_t tokens) {
  PackedSequence packed;
  while (packed.size() < tokens) add_subtree(packed, 0, 4, 0);
  return packed;
}

double median_ms(int repetitions, const std::function<void()>& run) {
  std::vector<double> times;
  for (int i = 0; i < repetitions + repetitions / 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
            .count());
  }
  times.erase(times.begin(), times.begin() + repetitions / 5);  // warm-up
  std::nth_element(times.begin(), times.begin() + repetitions / 2, times.end());
  return times[static_cast<size_t>(repetitions / 2)];
}

// The products of one forward pass over `rows` tokens and nothing else.
double products_ms(const Decoder& decoder, int64_t rows, int repetitions) {
  std::vector<std::pair<at::Tensor, at::Tensor>> operands;
  for (const auto& [name, tensor] : decoder.parameters().named_tensors())
    if (tensor.dim() == 2) operands.emplace_back(at::ones({rows, tensor.size(1)}), tensor.t());
  return median_ms(repetitions, [&] {
    for (const auto& [x, weight] : operands) x.mm(weight);
  });
}

bool kernels_agree(const Decoder& decoder, const StepBatch& batch, int32_t num_pages) {
  std::vector<DrawnToken> drawn, expected;
  TreeStepModel model(decoder), plain(decoder, KernelChoice::tensor_operations);
  for (auto* each : {&model, &plain}) {
    each->allocate_pages(num_pages, kPageTokens);
    each->step(batch, each == &model ? drawn : expected);
  }
  for (size_t i = 0; i < drawn.size(); ++i)
    if (drawn[i].token != expected[i].token ||
        std::abs(drawn[i].logprob - expected[i].logprob) > 1e-4)
      return false;
  return true;
}

void run(int repetitions) {
  Decoder decoder = quickstart_decoder();
  int32_t num_pages = 0;
  const StepBatch batch = decoding_step(num_pages);
  batch.attention.check_invariants(batch.num_rows());
  if (!kernels_agree(decoder, batch, num_pages)) {
    fmt::print("kernels and tensor operations DISAGREE\n");
    std::exit(1);
  }
  const PackedSequence packed = packed_trees(1400);
  packed.check_invariants();
  TreeStepModel model(decoder);
  model.allocate_pages(num_pages, kPageTokens);
  decoder.parameters().enable_gradients();
  std::vector<DrawnToken> drawn;

  fmt::print("{} parameters; {} rows; {} packed tokens; median of {}\n",
             decoder.parameters().count(), batch.num_rows(), packed.size(), repetitions);
  for (const int threads : {1, 2}) {
    set_num_threads(threads);
    at::set_num_threads(threads);
    const double step = median_ms(repetitions, [&] { model.step(batch, drawn); });
    const double forward = median_ms(repetitions, [&] {
      const at::NoGradGuard no_gradients;
      packed_hidden(decoder, packed);
    });
    const double both =
        median_ms(repetitions, [&] { packed_hidden(decoder, packed).sum().backward(); });
    const at::NoGradGuard no_gradients;
    const double step_products = products_ms(decoder, batch.num_rows(), repetitions);
    const double packed_products = products_ms(decoder, packed.size(), repetitions);
    fmt::print(
        "threads {}: step {:.2f} ms (products {:.2f}); packed forward {:.2f} ms (products "
        "{:.2f}), forward and backward {:.2f} ms\n",
        threads, step, step_products, forward, packed_products, both);
  }
}

}  // namespace
}  // namespace treepo

int main(int argc, char** argv) {
  treepo::run(argc > 1 ? std::atoi(argv[1]) : 200);
}
