// Decode attention and whole decoding steps on a GPU against the roofline: the larger of the bytes
// that must be read / copy bandwidth and the operations / measured product rate. Attention by the
// kernels is held against plain tensor operations before anything is timed. Without a GPU it says
// so and ends. Usage: bench_cuda_kernels [repetitions, 50 by default]

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/DeviceGuard.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <vector>

#include "base/error.h"
#include "base/timer.h"
#include "model/cuda_attention.h"
#include "model/cuda_kernels.h"
#include "model/decoder.h"
#include "model/device.h"
#include "model/tree_step_model.h"

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
  const auto add_run = [&](int32_t tokens, int32_t first_row, int32_t rows) {
    for (int32_t at = 0; at < tokens; at += kPageTokens) {
      work.piece_page.push_back(num_pages++);
      work.piece_tokens.push_back(std::min(kPageTokens, tokens - at));
    }
    work.run_piece_begin.push_back(static_cast<int32_t>(work.piece_page.size()));
    work.run_tokens.push_back(tokens);
    for (int32_t row = first_row; row < first_row + rows; ++row) {
      work.pair_query.push_back(row);
      work.pair_visible.push_back(tokens);
    }
    work.run_pair_begin.push_back(static_cast<int32_t>(work.pair_query.size()));
  };
  for (int32_t tree = 0; tree < trees; ++tree) {
    if (shared > 0) add_run(shared, tree * width, width);
    for (int32_t path = 0; path < width; ++path) {
      const int32_t row = tree * width + path;
      add_run(own, row, 1);
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
  GpuBench(c10::Device device, int repetitions) : device_(device), repetitions_(repetitions) {
    const at::Tensor from = at::zeros({int64_t{1} << 29}, options()), to = at::empty_like(from);
    copy_bandwidth_ = 2 * 2 * static_cast<double>(from.numel()) / median([&] { to.copy_(from); });
    const at::Tensor a = at::ones({8192, 8192}, options());
    product_rate_ = 2 * std::pow(8192.0, 3) / median([&] { a.mm(a); });
    fmt::print("copy {:.0f} GB/s, bf16 products {:.0f} TFLOP/s, {} multiprocessors\n",
               copy_bandwidth_ * 1e-9, product_rate_ * 1e-12,
               cuda_library_kernels()->num_multiprocessors(device.index()));
  }

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

    const double seconds = median([&] { attention.attend(0, qkv); });
    const double keys = static_cast<double>(trees) * (shared + static_cast<double>(width) * own);
    const double pairs = static_cast<double>(trees) * width * (shared + own);
    const double bytes = 2 * 2 * keys * shape.num_kv_heads * shape.head_dim;
    const double operations = 4 * pairs * shape.num_heads * shape.head_dim;
    fmt::print("attention {}/{} heads of {}, {} trees x {} paths, {} shared + {} own tokens: ",
               shape.num_heads, shape.num_kv_heads, shape.head_dim, trees, width, shared, own);
    report(seconds, bytes, operations);
  }

  void step(const char* name, const ModelOptions& size, int32_t vocab_size, int32_t trees,
            int32_t width, int32_t shared, int32_t own) const {
    const ModelConfig config =
        fresh_model_config(size, vocab_size, {.bos = -1, .eos = 1, .pad = -1});
    const Decoder decoder = Decoder::random(config, 1, device_, at::kBFloat16);
    TreeStepModel model(decoder);
    int32_t num_pages = 0;
    const StepBatch batch = decoding_step(trees, width, shared, own, num_pages);
    model.allocate_pages(num_pages, kPageTokens);
    std::vector<DrawnToken> drawn;
    const StepProfile before = model.profile();
    model.step(batch, drawn);
    const StepProfile once = model.profile() - before;
    const double seconds = median([&] { model.step(batch, drawn); });
    const auto rows = static_cast<double>(batch.num_rows());
    const double pairs = rows * (shared + own);
    const double operations =
        rows * static_cast<double>(once.weight_bytes) +
        4 * pairs * static_cast<double>(config.num_layers * config.query_size());
    fmt::print("step {}, {} trees x {} paths, {} shared + {} own tokens: {:.0f} tokens/s, ", name,
               trees, width, shared, own, rows / seconds);
    report(seconds, static_cast<double>(once.weight_bytes + once.key_value_bytes), operations);
  }

 private:
  at::TensorOptions options() const { return at::device(device_).dtype(at::kBFloat16); }

  void report(double seconds, double bytes, double operations) const {
    const double roof = std::max(bytes / copy_bandwidth_, operations / product_rate_);
    fmt::print("{:.1f} us, {:.1f} MB, {:.0f} % of the roofline\n", seconds * 1e6, bytes * 1e-6,
               100 * roof / seconds);
  }

  // Of five groups of launches, each waited for once.
  double median(const std::function<void()>& f) const {
    const auto stream = c10::impl::getDeviceGuardImpl(c10::kCUDA)->getStream(device_);
    f();
    stream.synchronize();
    std::vector<double> seconds;
    for (int group = 0; group < 5; ++group) {
      const Timer timer;
      for (int i = 0; i < repetitions_; ++i) f();
      stream.synchronize();
      seconds.push_back(timer.seconds() / repetitions_);
    }
    std::nth_element(seconds.begin(), seconds.begin() + 2, seconds.end());
    return seconds[2];
  }

  c10::Device device_;
  int repetitions_;
  double copy_bandwidth_ = 0, product_rate_ = 0;
};

ModelOptions qwen_size(int64_t hidden, int64_t layers, int64_t heads, int64_t kv_heads,
                       int64_t inner, bool tied) {
  ModelOptions size;
  size.architecture = "qwen2";
  size.hidden_size = hidden;
  size.num_layers = layers;
  size.num_heads = heads;
  size.num_kv_heads = kv_heads;
  size.intermediate_size = inner;
  size.max_positions = 4096;
  size.tie_embeddings = tied;
  return size;
}

void run(c10::Device device, int repetitions) {
  const at::NoGradGuard no_gradients;
  const GpuBench bench(device, repetitions);
  for (const AttentionShape& shape : {AttentionShape{14, 2, 64}, AttentionShape{28, 4, 128}}) {
    bench.attention(shape, 4, 16, 1536, 512);
    bench.attention(shape, 64, 16, 512, 256);
    bench.attention(shape, 64, 1, 0, 2048);
    bench.attention(shape, 4, 1, 0, 2048);
  }
  bench.step("0.5b", qwen_size(896, 24, 14, 2, 4864, true), 151936, 64, 16, 512, 256);
  bench.step("0.5b", qwen_size(896, 24, 14, 2, 4864, true), 151936, 4, 16, 512, 256);
  bench.step("7b", qwen_size(3584, 28, 28, 4, 18944, false), 152064, 64, 16, 512, 256);
}

}  // namespace
}  // namespace treepo

int main(int argc, char** argv) {
  using namespace treepo;
  const int repetitions = argc > 1 ? std::max(1, std::atoi(argv[1])) : 50;
  c10::Device device(c10::kCPU);
  try {
    device = parse_device("cuda");
  } catch (const Error& error) {
    fmt::print("SKIPPED: no GPU: {}\n", error.what());
    return 0;
  }
  run(device, repetitions);
  return 0;
}
