// Decode attention and whole decoding steps on a GPU against the roofline: the larger of the bytes
// that must be read / copy bandwidth and the operations / measured product rate. Attention by the
// kernels is held against plain tensor operations before anything is timed. Without a GPU it says
// so and ends. Usage: bench_cuda_kernels [repetitions, 50 by default [--profile]]

#include <ATen/core/grad_mode.h>

#include "gpu_bench.h"
#include "model/cuda_attention.h"
#include "model/decoder.h"
#include "model/named_shapes.h"
#include "model/tree_step_model.h"
#include "whole_run.h"

namespace treepo {
namespace {

constexpr int32_t kPageTokens = 16;

// `trees` prompts of `shared` tokens, below each `width` paths of `own` tokens that decode one
// more.
StepBatch decoding_step(int32_t trees, int32_t width, int32_t shared, int32_t own,
                        int32_t& num_pages) {
  StepBatch batch;
  TreeAttentionWork& work = batch.attention;
  work.page_tokens = kPageTokens;
  num_pages = 0;
  for (int32_t tree = 0; tree < trees; ++tree) {
    if (shared > 0) add_whole_run(work, num_pages, shared, tree * width, width);
    for (int32_t path = 0; path < width; ++path) {
      const int32_t row = tree * width + path;
      add_whole_run(work, num_pages, own, row, 1);
      batch.tokens.push_back(1 + row % 1000);
      batch.positions.push_back(shared + own - 1);
      batch.slots.push_back((num_pages - 1) * kPageTokens + (own - 1) % kPageTokens);
      batch.draws.push_back({.row = row, .uniform = (row + 0.5) / (trees * width)});
    }
  }
  return batch;
}

class GpuBench {
 public:
  GpuBench(c10::Device device, int repetitions, bool profile)
      : device_(device),
        repetitions_(repetitions),
        profile_(profile),
        rates_(measure_rates(device)) {}

  // Attention of one layer; the mean over launches that follow one another.
  void attention(const AttentionShape& shape, int32_t trees, int32_t width, int32_t shared,
                 int32_t own) const {
    int32_t num_pages = 0;
    const StepBatch batch = decoding_step(trees, width, shared, own, num_pages);
    PagedCache cache =
        make_paged_cache(1, num_pages, kPageTokens, shape, options(), CacheLayout::tokens_outside);
    cache.keys.normal_();
    cache.values.normal_();
    const at::Tensor qkv = at::randn(
        {batch.num_rows(), shape.num_heads + 2 * shape.num_kv_heads, shape.head_dim}, options());
    const CudaKernels& kernels = *cuda_library_kernels();
    CudaTreePlan plan;
    plan_cuda_tree(batch.attention, shape, batch.num_rows(), wanted_cuda_blocks(kernels, device_),
                   plan);
    StagedArrays arrays;
    const auto slots = arrays.add(batch.slots);
    const StagedTreeWork staged = stage_tree_work(arrays, batch.attention, plan);
    arrays.upload(device_);
    CudaAttention attention(kernels, cache, tree_attention_work(arrays, staged, plan, shape),
                            arrays.at<int32_t>(slots));
    const at::Tensor expected = cached_attention_tensors(batch, cache)->attend(0, qkv);
    const double difference = (attention.attend(0, qkv) - expected).abs().max().item<double>();
    TREEPO_CHECK(difference < 0.05, "kernels and tensor operations differ by {}", difference);

    const double seconds = median_seconds(device_, repetitions_, [&] { attention.attend(0, qkv); });
    const double keys = static_cast<double>(trees) * (shared + static_cast<double>(width) * own);
    const double pairs = static_cast<double>(trees) * width * (shared + own);
    const double bytes = 2 * 2 * keys * shape.num_kv_heads * shape.head_dim;
    const double operations = 4 * pairs * shape.num_heads * shape.head_dim;
    fmt::print("attention {}/{} heads of {}, {} trees x {} paths, {} shared + {} own tokens: ",
               shape.num_heads, shape.num_kv_heads, shape.head_dim, trees, width, shared, own);
    report(seconds, bytes, operations);
  }

  // A step with its kernels handed over one by one, and where CUDA graphs serve so many rows,
  // replayed.
  void step(const char* name, const Decoder& decoder, int32_t trees, int32_t width, int32_t shared,
            int32_t own) const {
    int32_t num_pages = 0;
    const StepBatch batch = decoding_step(trees, width, shared, own, num_pages);
    fmt::print("step {}, {} trees x {} paths, {} shared + {} own tokens:\n", name, trees, width,
               shared, own);
    std::vector<DrawnToken> expected, drawn;
    const double each = timed_step(decoder, batch, num_pages, CudaGraphs::off, expected);
    if (batch.num_rows() > CudaStep::kMostGraphRows) return;
    const double graphs = timed_step(decoder, batch, num_pages, CudaGraphs::on, drawn);
    int64_t other = 0;
    for (size_t i = 0; i < drawn.size(); ++i)
      if (drawn[i].token != expected[i].token)
        ++other;
      else
        TREEPO_CHECK(std::abs(drawn[i].logprob - expected[i].logprob) < 0.2,
                     "draw {}: log-probs {} and {}", i, drawn[i].logprob, expected[i].logprob);
    fmt::print("  replayed, a step takes {:.2f} of the time; {} of {} draws differ\n",
               graphs / each, other, drawn.size());
  }

 private:
  double timed_step(const Decoder& decoder, const StepBatch& batch, int32_t num_pages,
                    CudaGraphs graphs, std::vector<DrawnToken>& drawn) const {
    const ModelConfig& config = decoder.config();
    TreeStepModel model(decoder, KernelChoice::best, graphs);
    model.allocate_pages(num_pages, kPageTokens);
    const StepProfile before = model.profile();
    model.step(batch, drawn);
    const StepProfile once = model.profile() - before;
    model.step(batch, drawn);  // recorded
    model.step(batch, drawn);
    const StepProfile third = model.profile() - before;
    TREEPO_CHECK(third.replayed_steps == (graphs == CudaGraphs::on ? 2 : 0), "{} steps replayed",
                 third.replayed_steps);
    const double seconds = median_seconds(device_, repetitions_, [&] { model.step(batch, drawn); });
    const StepProfile all = model.profile() - before - third;
    const auto rows = static_cast<double>(batch.num_rows());
    const double pairs = rows * static_cast<double>(batch.positions[0] + 1);
    const double operations =
        rows * static_cast<double>(once.weight_bytes) +
        4 * pairs * static_cast<double>(config.num_layers * config.query_size());
    fmt::print("  {}: {:.0f} tokens/s, handed over in {:.0f} us, ",
               graphs == CudaGraphs::on ? "CUDA graph" : "one by one", rows / seconds,
               1e6 * (all.linear_seconds + all.attention_seconds) / (5 * repetitions_ + 1));
    report(seconds, static_cast<double>(once.weight_bytes + once.key_value_bytes), operations);
    if (profile_) print_kernel_times(device_, [&] { model.step(batch, drawn); });
    return seconds;
  }

  at::TensorOptions options() const { return at::device(device_).dtype(at::kBFloat16); }

  void report(double seconds, double bytes, double operations) const {
    const double roof = std::max(bytes / rates_.copy_bandwidth, operations / rates_.product_rate);
    fmt::print("{:.1f} us, {:.1f} MB, {:.0f} % of the roofline\n", seconds * 1e6, bytes * 1e-6,
               100 * roof / seconds);
  }

  c10::Device device_;
  int repetitions_;
  bool profile_;
  GpuRates rates_;
};

void run(c10::Device device, int repetitions, bool profile) {
  const at::NoGradGuard no_gradients;
  const GpuBench bench(device, repetitions, profile);
  for (const AttentionShape& shape : {AttentionShape{14, 2, 64}, AttentionShape{28, 4, 128}}) {
    bench.attention(shape, 4, 16, 1536, 512);
    bench.attention(shape, 64, 16, 512, 256);
    bench.attention(shape, 64, 1, 0, 2048);
    bench.attention(shape, 4, 1, 0, 2048);
  }
  const Decoder small = Decoder::random(named_model_config("0.5b"), 1, device, at::kBFloat16);
  bench.step("0.5b", small, 64, 16, 512, 256);
  bench.step("0.5b", small, 4, 16, 512, 256);
  bench.step("0.5b", small, 16, 16, 512, 256);
  bench.step("7b", Decoder::random(named_model_config("7b"), 1, device, at::kBFloat16), 64, 16, 512,
             256);
}

}  // namespace
}  // namespace treepo

int main(int argc, char** argv) {
  using namespace treepo;
  const std::optional<c10::Device> device = gpu_or_skip();
  if (!device) return 0;
  run(*device, argc > 1 ? std::max(1, std::atoi(argv[1])) : 50,
      argc > 2 && std::string(argv[2]) == "--profile");
}
