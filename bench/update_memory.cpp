// Peak memory of one update (pack, forward, backward, optimiser step) against what it must hold,
// and what a chunk of the loss head costs. Each case runs in a process of its own, whose peak is
// reset before the update.
// Usage: bench_update_memory [SHAPE, 0.5b by default] [TOKENS, 4096 by default] [DTYPE, all] peaks
//        bench_update_memory --head                                                     the loss
//        head

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <torch/csrc/autograd/autograd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "base/large_blocks.h"
#include "base/random.h"
#include "base/timer.h"
#include "learn/update.h"
#include "model/device.h"
#include "model/named_shapes.h"
#include "model/reused_memory.h"

namespace treepo {
namespace {

constexpr int32_t kTreeTokens = 1024;

double mib(int64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

// "VmHWM" (the largest resident set so far) or "VmRSS" of this process, bytes.
int64_t memory(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == key + ":") {
      int64_t kib = 0;
      status >> kib;
      return kib << 10;
    }
  return 0;
}

void reset_peak() {
  std::ofstream("/proc/self/clear_refs") << 5;
}

// Prompt 128, four paths of 64, four of 40 below each: 1,024 unique tokens, 16 trajectories.
SearchTree make_tree(uint64_t query, int64_t vocab) {
  const RandomStream random(1, Purpose::generate, query);
  uint32_t drawn = 0;
  const auto token = [&] { return static_cast<int32_t>(random.integer(0, vocab - 1, 0, drawn++)); };
  std::vector<int32_t> prompt(128);
  for (int32_t& each : prompt) each = token();
  SearchTree tree(prompt, 64);
  const auto grow = [&](int32_t parent, int tokens) {
    const int32_t node = tree.add_child(parent);
    for (int i = 0; i < tokens; ++i) tree.append(node, token(), 0, 0);
    return node;
  };
  for (int i = 0; i < 4; ++i) {
    const int32_t stem = grow(0, 64);
    for (int k = 0; k < 4; ++k) tree.stop(grow(stem, 40), StopReason::eos);
  }
  return tree;
}

struct Case {
  std::string shape;
  c10::ScalarType dtype;
  bool checkpoint_layers;
  int64_t chunk, tokens;
};

void measure_update(const Case& c) {
  const int64_t before = memory("VmRSS");
  Decoder decoder =
      Decoder::random(named_model_config(c.shape), 1, c10::Device(c10::kCPU), c.dtype);
  AdamW optimizer = make_optimizer(decoder, {.learning_rate = 1e-6});
  const ModelConfig& config = decoder.config();
  std::deque<SearchTree> trees;
  std::vector<TrainingTree> training;
  for (int64_t i = 0; i < c.tokens / kTreeTokens; ++i) {
    trees.push_back(make_tree(static_cast<uint64_t>(i), config.vocab_size));
    training.push_back({.tree = &trees.back(), .leaves = trees.back().leaves()});
    for (size_t k = 0; k < trees.back().leaves().size(); ++k)
      training.back().advantages.push_back(k % 3 == 0 ? 1.3 : -0.7);
  }
  reset_peak();
  const Timer timer;
  const UpdateReport report = update(decoder, optimizer, training, {}, 104, 1e-6,
                                     {.max_tokens = c.tokens,
                                      .logit_chunk_tokens = c.chunk,
                                      .checkpoint_layers = c.checkpoint_layers});
  const double seconds = timer.seconds();
  const int64_t peak = memory("VmHWM") - before;

  const auto bytes = [](const at::Tensor& t) {
    return t.defined() ? static_cast<int64_t>(t.nbytes()) : 0;
  };
  const AdamWState& state = optimizer.state();
  const int64_t weights = bytes(decoder.parameters().values());
  const int64_t gradients = bytes(decoder.parameters().gradients());
  const int64_t optimiser =
      bytes(state.first_moment) + bytes(state.second_moment) + bytes(state.master);
  const int64_t inputs = config.num_layers * report.packed_tokens * config.hidden_size *
                         static_cast<int64_t>(c10::elementSize(c.dtype));
  const int64_t sum = weights + gradients + optimiser + inputs;
  fmt::print(
      "{:<9} {:<10} {:>5} {:>6}  {:>8.0f} {:>9.0f} {:>9.0f} {:>11.0f} {:>8.0f} {:>8.0f} {:>6.3f} "
      "{:>9.1f}\n",
      dtype_name(c.dtype), c.checkpoint_layers ? "yes" : "no", c.chunk, report.packed_tokens,
      mib(weights), mib(gradients), mib(optimiser), mib(inputs), mib(sum), mib(peak),
      static_cast<double>(peak) / static_cast<double>(sum), seconds);
  if (report.step.skipped) fmt::print("  the step was SKIPPED: the gradient is not finite\n");
}

double median_seconds(int repetitions, const std::function<void()>& f) {
  std::vector<double> seconds;
  for (int i = -1; i < repetitions; ++i) {
    const Timer timer;
    f();
    if (i >= 0) seconds.push_back(timer.seconds());
  }
  std::nth_element(seconds.begin(), seconds.begin() + repetitions / 2, seconds.end());
  return seconds[static_cast<size_t>(repetitions / 2)];
}

// Time of the head's forward and backward pass, beside its four products alone, and what memory it
// takes beyond its inputs and their gradients.
void measure_head(c10::ScalarType dtype, int64_t chunk) {
  constexpr int64_t kTokens = 1024, kHidden = 896, kVocab = 151936;
  at::manual_seed(1);
  const at::Tensor hidden = at::randn({kTokens, kHidden}).to(dtype).set_requires_grad(true);
  const at::Tensor weight =
      at::randn({kVocab, kHidden}).mul_(0.02).to(dtype).set_requires_grad(true);
  const at::Tensor sink = at::zeros({kVocab, kHidden}, at::kFloat);
  const at::Tensor rows = at::arange(kTokens), targets = at::randint(kVocab, {kTokens}, at::kLong);
  const at::Tensor direction = at::ones({kTokens});
  hidden.mutable_grad() = at::zeros_like(hidden);
  const auto run = [&] {
    const TokenLogprobs outputs =
        token_logprobs(hidden, weight, rows, rows, targets, 1.0, chunk, sink);
    torch::autograd::backward({outputs.logprob}, {direction});
  };
  const double seconds = median_seconds(3, run);
  const int64_t before = memory("VmRSS");
  reset_peak();
  run();
  const int64_t extra = memory("VmHWM") - before;
  const at::NoGradGuard no_grad;
  at::Tensor logits;
  const double product = median_seconds(3, [&] { logits = at::linear(hidden, weight); });
  fmt::print("{:<9} {:>6} {:>10.2f} {:>12.2f} {:>8.2f} {:>12.0f} {:>14.0f}\n", dtype_name(dtype),
             chunk, seconds, 4 * product, 4 * product / seconds, mib(extra),
             mib(kTokens * kVocab * 4));
}

// In a process of its own, before this one has started any thread.
bool apart(const std::function<void()>& f) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    f();
    std::fflush(stdout);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) fmt::print("  a case ended with status {} (out of memory?)\n", status);
  return status == 0;
}

bool measure_heads() {
  fmt::print(
      "loss head, 1,024 tokens, hidden 896, vocabulary 151,936, forward and backward\n"
      "dtype      chunk    seconds  4 products    ratio  extra (MiB)  all logits (MiB)\n");
  bool good = true;
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const int64_t chunk : {64, 256, 1024})
      good = apart([&] { measure_head(dtype, chunk); }) && good;
  return good;
}

bool measure_updates(const std::string& shape, int64_t tokens, const std::string& only_dtype) {
  fmt::print(
      "{}, MiB; layer inputs are what activation checkpointing keeps\n"
      "dtype     checkpoint chunk tokens   weights gradients optimiser layer inputs   sum     peak "
      " "
      "ratio  seconds\n",
      shape);
  bool good = true;
  for (const auto dtype : {at::kBFloat16, at::kFloat})
    for (const bool checkpoint : {true, false}) {
      if (!only_dtype.empty() && only_dtype != dtype_name(dtype)) continue;
      good = apart([&] {
               measure_update({.shape = shape,
                               .dtype = dtype,
                               .checkpoint_layers = checkpoint,
                               .chunk = 256,
                               .tokens = tokens});
             }) &&
             good;
    }
  return good;
}

}  // namespace
}  // namespace treepo

int main(int argc, char** argv) {
  using namespace treepo;
  // Memory is handled as in the program.
  give_back_large_blocks();
  reuse_tensor_memory();
  if (argc > 1 && std::strcmp(argv[1], "--head") == 0) return measure_heads() ? 0 : 1;
  const std::string shape = argc > 1 ? argv[1] : "0.5b";
  const int64_t tokens = argc > 2 ? std::atoll(argv[2]) : 4096;
  return measure_updates(shape, std::max<int64_t>(tokens, kTreeTokens), argc > 3 ? argv[3] : "")
             ? 0
             : 1;
}
