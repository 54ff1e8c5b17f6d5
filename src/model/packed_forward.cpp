#include "model/packed_forward.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "model/packed_attention.h"

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

}  // namespace

at::Tensor packed_hidden(const Decoder& decoder, const PackedSequence& sequence) {
  check_ranges(decoder, sequence);
  const ModelConfig& config = decoder.config();
  const c10::Device device = decoder.device();
  const int32_t block = device.is_cpu() ? kCpuBlock : kDeviceBlock;
  PackedAttention attention(
      {.num_heads = static_cast<int32_t>(config.num_heads),
       .num_kv_heads = static_cast<int32_t>(config.num_kv_heads),
       .head_dim = static_cast<int32_t>(config.head_dim)},
      std::make_shared<PackedAttentionPlan>(plan_packed_attention(sequence.subtree_end, block)));
  return decoder.hidden(to_device(sequence.tokens, device), to_device(sequence.positions, device),
                        attention);
}

}  // namespace treepo
