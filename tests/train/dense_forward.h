#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <vector>

#include "model/decoder.h"

namespace treepo {

// Every token of one sequence sees itself and all before it: attention with a dense mask, without
// cache, pages, packing or kernels.
class DenseAttention : public AttentionLayer {
 public:
  explicit DenseAttention(const ModelConfig& config) : config_(config) {}

  at::Tensor attend(int64_t, const at::Tensor& qkv) override {
    const int64_t n = qkv.size(0), kv = config_.num_kv_heads, group = config_.num_heads / kv;
    const auto heads = [&](int64_t first, int64_t count) {
      return qkv.narrow(1, first, count).transpose(0, 1);  // [count, n, head_dim]
    };
    const at::Tensor q = heads(0, config_.num_heads);
    const at::Tensor k = heads(config_.num_heads, kv).repeat_interleave(group, 0);
    const at::Tensor v = heads(config_.num_heads + kv, kv).repeat_interleave(group, 0);
    const at::Tensor hidden = at::ones({n, n}, at::kBool).triu(1);
    const at::Tensor scores =
        (q.matmul(k.transpose(1, 2)) / std::sqrt(static_cast<double>(config_.head_dim)))
            .masked_fill(hidden, -INFINITY);
    return scores.softmax(-1).matmul(v).transpose(0, 1).reshape({n, -1});
  }

 private:
  const ModelConfig& config_;
};

// Logits [tokens, vocab_size] after each token of a sequence.
inline at::Tensor dense_logits(const Decoder& decoder, const std::vector<int32_t>& tokens) {
  const at::NoGradGuard no_gradients;
  DenseAttention attention(decoder.config());
  const at::Tensor ids = at::tensor(tokens, at::kInt).to(at::kLong);
  const at::Tensor hidden = decoder.hidden(ids, at::arange(ids.size(0), at::kLong), attention);
  return hidden.mm(decoder.head_weight().t());
}

// Logits of the token after a sequence.
inline std::vector<double> next_logits(const Decoder& decoder, const std::vector<int32_t>& tokens) {
  const at::Tensor last = dense_logits(decoder, tokens).select(0, -1).to(at::kDouble).contiguous();
  return {last.const_data_ptr<double>(), last.const_data_ptr<double>() + last.numel()};
}

}  // namespace treepo
