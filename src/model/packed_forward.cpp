#include "model/packed_forward.h"

#include <ATen/ATen.h>

#include <memory>
#include <utility>

#include "base/error.h"
#include "model/cuda_packed_attention.h"
#include "model/kernel_choice.h"
#include "model/packed_attention.h"
#include "model/side_by_side.h"

namespace treepo {

namespace {

// Small blocks waste little on masked scores; plain tensor operations want fewer, larger ones.
constexpr int32_t kCpuBlock = 16, kDeviceBlock = 512;

at::Tensor to_device(const std::vector<int32_t>& values, c10::Device device) {
  return at::tensor(at::ArrayRef<int32_t>(values), at::kInt).to(device, at::kLong);
}

void check_ranges(const Decoder& decoder, const PackedSequence& sequence) {
  const ModelConfig& config = decoder.config();
  for (int32_t i = 0; i < sequence.size(); ++i) {
    const auto at = static_cast<size_t>(i);
    if (sequence.positions[at] >= config.max_positions)
      throw Error(fmt::format("a sequence of at least {} tokens exceeds the model's context of {}",
                              sequence.positions[at] + 1, config.max_positions));
    if (sequence.tokens[at] < 0 || sequence.tokens[at] >= config.vocab_size)
      throw Error(fmt::format("token {} is outside the model's vocabulary of {}",
                              sequence.tokens[at], config.vocab_size),
                  "the tokenizer does not fit the model");
  }
}

// Keeps what another layer is given and gives back.
class TracedAttention : public AttentionLayer {
 public:
  TracedAttention(AttentionLayer& attention, LayerTrace& trace)
      : attention_(attention), trace_(trace) {}

  at::Tensor attend(int64_t layer, const at::Tensor& qkv) override {
    at::Tensor out = attention_.attend(layer, qkv);
    trace_.qkv.push_back(qkv);
    trace_.attended.push_back(out);
    return out;
  }

 private:
  AttentionLayer& attention_;
  LayerTrace& trace_;
};

// What the decoder runs on.
struct PackedInput {
  at::Tensor tokens, positions;
  std::shared_ptr<AttentionLayer> attention;
};

PackedInput packed_input(const Decoder& decoder, const PackedSequence& sequence,
                         KernelChoice kernels) {
  check_ranges(decoder, sequence);
  const ModelConfig& config = decoder.config();
  const c10::Device device = decoder.device();
  const AttentionShape shape = {.num_heads = static_cast<int32_t>(config.num_heads),
                                .num_kv_heads = static_cast<int32_t>(config.num_kv_heads),
                                .head_dim = static_cast<int32_t>(config.head_dim)};
  PackedInput input;
  input.tokens = to_device(sequence.tokens, device);
  input.positions = to_device(sequence.positions, device);
  if (kernels == KernelChoice::best && CudaPackedLayer::serves(device, decoder.dtype(), shape)) {
    input.attention =
        std::make_shared<CudaPackedLayer>(shape, sequence.subtree_end, device, decoder.dtype());
    return input;
  }
  const int32_t block = device.is_cpu() ? kCpuBlock : kDeviceBlock;
  input.attention = std::make_shared<PackedAttention>(
      shape,
      std::make_shared<PackedAttentionPlan>(plan_packed_attention(sequence.subtree_end, block)),
      kernels);
  return input;
}

at::Tensor run_packed(const Decoder& decoder, const PackedSequence& sequence, KernelChoice kernels,
                      LayerTrace* trace = nullptr) {
  const PackedInput input = packed_input(decoder, sequence, kernels);
  if (trace == nullptr)
    return decoder.hidden(input.tokens, input.positions, *input.attention, {}, kernels);
  TracedAttention traced(*input.attention, *trace);
  return decoder.hidden(input.tokens, input.positions, traced, {}, kernels);
}

}  // namespace

at::Tensor packed_hidden(const Decoder& decoder, const PackedSequence& sequence,
                         bool checkpoint_layers) {
  if (!checkpoint_layers) return run_packed(decoder, sequence, KernelChoice::best);
  const PackedInput input = packed_input(decoder, sequence, KernelChoice::best);
  return decoder.hidden_recomputed(input.tokens, input.positions, input.attention);
}

void check_packed_hidden(const Decoder& decoder, const PackedSequence& sequence,
                         const at::Tensor& hidden) {
  const at::NoGradGuard no_gradients;
  const double tolerance = side_by_side_tolerance(decoder.dtype());
  const at::Tensor plain = run_packed(decoder, sequence, KernelChoice::tensor_operations);
  const auto difference = first_difference(hidden.detach(), plain, tolerance);
  if (!difference) return;
  LayerTrace best, tensors;
  run_packed(decoder, sequence, KernelChoice::best, &best);
  run_packed(decoder, sequence, KernelChoice::tensor_operations, &tensors);
  const auto row = static_cast<size_t>(difference->row);
  throw DifferenceFound(
      fmt::format("two implementations of the packed forward pass differ: hidden state of token {} "
                  "at position {}, {}",
                  sequence.tokens[row], sequence.positions[row], difference->text()),
      describe_first_layer(best, tensors, tolerance));
}

}  // namespace treepo
