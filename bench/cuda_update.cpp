// Packed updates (forward, backward, clipping, AdamW) on a GPU: two trees of 16 trajectories,
// 16 k packed tokens, random weights in bfloat16. Prints tokens/s and the model's floating-point
// operations/s: 6 for each weight of a product and each token, 12 for each visible (query, key)
// pair, head and dimension; nothing is counted that is run again. Without a GPU it says so and
// ends. Usage: bench_cuda_update [repetitions, 3 by default [--profile]]

#include <string>

#include "gpu_bench.h"
#include "grown_tree.h"
#include "learn/update.h"
#include "model/named_shapes.h"

namespace treepo {
namespace {

constexpr double kHopperPeak = 989e12;  // dense bf16 of H100 and H200 (SXM), by their data sheet

constexpr GrownShape kShape = {.name = "2 trees, width 16, 8 x 80 tokens, prompt 512",
                               .num_trees = 2,
                               .width = 16,
                               .prompt_tokens = 512,
                               .segment_tokens = 80,
                               .min_response = 640,
                               .max_response = 640};

double visible_pairs(const PackedSequence& sequence) {
  double pairs = 0;
  for (const int32_t position : sequence.positions) pairs += position + 1;
  return pairs;
}

double operations(const Decoder& decoder, const PackedTrees& pack) {
  const ModelConfig& config = decoder.config();
  int64_t weights = 0;
  for (const auto& [name, shape] : decoder.parameters().named_shapes())
    if (shape.size() == 2 && name.starts_with("model.layers.")) weights += shape[0] * shape[1];
  const auto tokens = static_cast<double>(pack.sequence.size());
  const auto head = static_cast<double>(config.vocab_size * config.hidden_size);
  return 6 * (tokens * static_cast<double>(weights) +
              static_cast<double>(pack.num_sources()) * head) +
         12 * visible_pairs(pack.sequence) *
             static_cast<double>(config.num_layers * config.query_size());
}

void measure(const std::string& name, c10::Device device, const GpuRates& rates, int repetitions,
             bool profile) {
  const ModelConfig config = named_model_config(name);
  std::vector<SearchTree> trees;
  for (int32_t i = 0; i < kShape.num_trees; ++i)
    trees.push_back(
        grow_tree(kShape, static_cast<int32_t>(config.vocab_size), static_cast<uint64_t>(i)));
  std::vector<TrainingTree> training = training_trees(trees);
  Decoder decoder = Decoder::random(config, 1, device, at::kBFloat16);
  AdamW optimizer = make_optimizer(decoder, {});
  const PackRunOptions options{.max_tokens = 1 << 20, .logit_chunk_tokens = 4096};
  auto logprobs = compute_logprobs(decoder, training, options);
  for (size_t i = 0; i < training.size(); ++i) training[i].old_logprobs = std::move(logprobs[i]);

  UpdateReport report;
  const auto run = [&] {
    report = update(decoder, optimizer, training, {}, kShape.max_response, 1e-6, options);
  };
  const double seconds = median_seconds(device, repetitions, run);
  TREEPO_CHECK(!report.step.skipped, "the gradient is not finite");
  const double work = operations(decoder, pack_trees(training));
  fmt::print(
      "update {}, {}: {} packed tokens, {} of trajectories: {:.1f} ms, {:.0f} packed tokens/s, "
      "{:.0f} TFLOP/s: {:.0f} % of products, {:.0f} % of 989 TFLOP/s\n",
      name, kShape.name, report.packed_tokens, report.trajectory_tokens, 1e3 * seconds,
      static_cast<double>(report.packed_tokens) / seconds, 1e-12 * work / seconds,
      100 * work / seconds / rates.product_rate, 100 * work / seconds / kHopperPeak);
  if (profile) print_kernel_times(device, run);
}

}  // namespace
}  // namespace treepo

int main(int argc, char** argv) {
  using namespace treepo;
  const int repetitions = argc > 1 ? std::max(1, std::atoi(argv[1])) : 3;
  const bool profile = argc > 2 && std::string(argv[2]) == "--profile";
  const std::optional<c10::Device> device = gpu_or_skip();
  if (!device) return 0;
  const GpuRates rates = measure_rates(*device);
  for (const char* name : {"0.5b", "1.5b"}) measure(name, *device, rates, repetitions, profile);
}
