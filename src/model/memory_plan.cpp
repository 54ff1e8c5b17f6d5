#include "model/memory_plan.h"

#include <algorithm>
#include <string>
#include <vector>

#include "model/cached_attention.h"  // key_value_dtype
#include "model/decoder.h"

namespace treepo {

namespace {

// Sizes of the formulas below, as the paper of a Llama would name them.
struct Sizes {
  int64_t h, q, k, i, v;  // hidden, query, key (or value), intermediate, vocabulary
  int64_t e, w;           // bytes of a stored number, and of one in wide arithmetic
};

Sizes sizes_of(const MemoryModel& m) {
  const ModelConfig& c = m.config;
  return {.h = c.hidden_size,
          .q = c.query_size(),
          .k = c.key_value_size(),
          .i = c.intermediate_size,
          .v = c.vocab_size,
          .e = static_cast<int64_t>(c10::elementSize(m.dtype)),
          .w = m.dtype == c10::ScalarType::Double ? 8 : 4};
}

// A half type is converted where arithmetic is wide: both copies exist at once.
bool converts(const Sizes& s) {
  return s.e != s.w;
}

}  // namespace

int64_t MemoryModel::parameters() const {
  return Decoder::count_parameters(config);
}

int64_t MemoryModel::weight_bytes() const {
  const int64_t adapters = lora.rank > 0 ? trained_parameters() : 0;
  return (parameters() + adapters) * sizes_of(*this).e;
}

int64_t MemoryModel::rope_table_bytes() const {
  return config.max_positions * config.head_dim * sizes_of(*this).w;
}

int64_t MemoryModel::key_value_bytes_per_token() const {
  const auto number = static_cast<int64_t>(c10::elementSize(key_value_dtype(device, dtype)));
  return 2 * config.num_layers * config.key_value_size() * number;
}

// In the feed-forward part: the residual stream, the normed input, gate and up, and their product.
// In attention queries, keys and values exist before and after rotation, beside the residual stream
// and the normed input.
int64_t MemoryModel::step_activation_bytes(int64_t rows) const {
  const Sizes s = sizes_of(*this);
  const int64_t in_mlp = s.e * (2 * s.h + 3 * s.i);
  const int64_t in_attention =
      s.e * (2 * s.h + 2 * (s.q + 2 * s.k)) + (s.w + (converts(s) ? s.e : 0)) * s.q;
  const int64_t rope = s.w * config.head_dim;
  constexpr int64_t kIndices = 2 * 8;  // token and position
  return rows * (std::max(in_mlp, in_attention) + rope + kIndices);
}

int64_t MemoryModel::step_logit_bytes(int64_t drawing_rows) const {
  const Sizes s = sizes_of(*this);
  return drawing_rows * (2 * s.e * s.h + s.v * (s.w + (converts(s) ? s.e : 0)));
}

int64_t MemoryModel::trained_parameters() const {
  if (lora.rank == 0) return parameters();
  const Sizes s = sizes_of(*this);
  int64_t sides = 0;  // rows and columns of the matrices that are adapted
  for (const std::string& target : lora.targets) {
    if (target == "q_proj" || target == "o_proj") sides += s.h + s.q;
    if (target == "k_proj" || target == "v_proj") sides += s.h + s.k;
    if (target == "gate_proj" || target == "up_proj" || target == "down_proj") sides += s.h + s.i;
  }
  return config.num_layers * lora.rank * sides;
}

int64_t MemoryModel::gradient_bytes() const {
  return trained_parameters() * sizes_of(*this).w;
}

int64_t MemoryModel::optimizer_bytes() const {
  const Sizes s = sizes_of(*this);
  return trained_parameters() * (2 * s.w + (converts(s) ? s.w : 0));
}

namespace {

// x Aᵀ of the adapters on these of a layer's matrices.
int64_t adapter_bytes_per_token(const MemoryModel& m, const std::vector<std::string>& matrices) {
  const auto adapted = std::ranges::count_if(matrices, [&](const std::string& name) {
    return std::ranges::find(m.lora.targets, name) != m.lora.targets.end();
  });
  return m.lora.rank * adapted * sizes_of(m).e;
}

// What autograd keeps of a layer's halves for each token: the residual stream before it, its normed
// form and the norm's root mean square; then rotated queries, keys and values, attention's result
// and its log-sums (wide), or gate, up and their product. Head norms (Qwen3) also keep what they
// were given.
int64_t attention_bytes_per_token(const MemoryModel& m) {
  const Sizes s = sizes_of(m);
  const ModelConfig& config = m.config;
  const int64_t attention = s.w * ((s.q + 2 * s.k) + s.q + config.num_heads);
  const int64_t narrow_result = converts(s) ? s.e * s.q : 0;
  const int64_t head_norms =
      config.qk_norm ? s.e * (s.q + s.k) + s.w * (config.num_heads + config.num_kv_heads) : 0;
  return s.e * 2 * s.h + s.w + attention + narrow_result + head_norms +
         adapter_bytes_per_token(m, {"q_proj", "k_proj", "v_proj", "o_proj"});
}

int64_t mlp_bytes_per_token(const MemoryModel& m) {
  const Sizes s = sizes_of(m);
  return s.e * (2 * s.h + 3 * s.i) + s.w +
         adapter_bytes_per_token(m, {"gate_proj", "up_proj", "down_proj"});
}

}  // namespace

int64_t MemoryModel::saved_bytes_per_token() const {
  const Sizes s = sizes_of(*this);
  const int64_t layer =
      checkpoint_layers ? s.e * s.h : attention_bytes_per_token(*this) + mlp_bytes_per_token(*this);
  const int64_t ends = s.e * 2 * s.h + s.w * (1 + config.head_dim);  // last norm, rotation
  return config.num_layers * layer + ends;
}

// A chunk's logits, wide on the CPU and as they are on a GPU with kernels for them, overwritten by
// their gradient; without such kernels their exponentials too. Beside them what went in, and the
// gradient of all hidden states. The output matrix's gradient is added to where it belongs.
int64_t MemoryModel::logit_chunk_bytes(int64_t packed_tokens, int64_t chunk) const {
  const Sizes s = sizes_of(*this);
  const int64_t rows = std::min(packed_tokens, chunk);
  const int64_t logit =
      device.is_cpu() ? s.w + (converts(s) ? s.e : 0) : (converts(s) ? s.e : 2 * s.w);
  return rows * (s.v * logit + s.e * s.h) + s.e * packed_tokens * s.h;
}

// The last layer's feed-forward part goes back while all else is still kept: gradients of its
// output, of the product, of gate and up, and of its largest matrix. Where layers are run again,
// the attention part of one is kept beside what comes out of it and the gradients on both sides of
// the feed-forward part. That goes back for some tokens at a time: the normed input, gate and up
// with their gradient, and the product's; or the gradient of its largest matrix.
int64_t MemoryModel::layer_backward_bytes(int64_t packed_tokens) const {
  const Sizes s = sizes_of(*this);
  const int64_t matrix = s.e * 2 * s.i * s.h;
  if (!checkpoint_layers) return packed_tokens * s.e * (2 * s.h + 3 * s.i) + matrix;
  const int64_t rows = std::min(packed_tokens, kRecomputedRows);
  // Adapters make gate and up anew beside what the weights gave.
  const int64_t inner =
      adapter_bytes_per_token(*this, {"gate_proj", "up_proj"}) > 0 ? 7 * s.i : 5 * s.i;
  const int64_t mlp =
      std::max(rows * (s.e * (s.h + inner) + s.w), rows * s.e * (2 * s.h + 2 * s.i) + matrix);
  // The layer's input is among those that all layers keep.
  return packed_tokens * (attention_bytes_per_token(*this) + s.e * 2 * s.h) + mlp;
}

}  // namespace treepo
