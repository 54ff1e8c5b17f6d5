#include "model/memory_plan.h"

#include <algorithm>

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
  return parameters() * sizes_of(*this).e;
}

int64_t MemoryModel::rope_table_bytes() const {
  return config.max_positions * config.head_dim * sizes_of(*this).w;
}

int64_t MemoryModel::key_value_bytes_per_token() const {
  const auto number = static_cast<int64_t>(c10::elementSize(key_value_dtype(device, dtype)));
  return 2 * config.num_layers * config.key_value_size() * number;
}

// Most is alive in the feed-forward part: the residual stream, the normed input, queries, keys,
// values and attention's result (which the layer still holds), the second normed input, gate and
// up, and their product. In attention itself queries, keys and values exist before and after
// rotation.
int64_t MemoryModel::step_activation_bytes(int64_t rows) const {
  const Sizes s = sizes_of(*this);
  const int64_t held = 2 * s.h + (s.q + 2 * s.k) + s.q;
  const int64_t in_mlp = s.e * (held + s.h + 3 * s.i);
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
  return trained_parameters() * sizes_of(*this).e;
}

int64_t MemoryModel::optimizer_bytes() const {
  const Sizes s = sizes_of(*this);
  return trained_parameters() * (2 * s.w + (converts(s) ? s.w : 0));
}

namespace {

// Of each layer: the residual stream before and between its halves, each with its normed form and
// the norm's root mean square; rotated queries, keys and values, attention's result and its
// log-sums (wide); gate, up and their product. Head norms (Qwen3) also keep what they were given.
int64_t layer_bytes_per_token(const MemoryModel& m) {
  const Sizes s = sizes_of(m);
  const ModelConfig& config = m.config;
  const int64_t residual = s.e * 4 * s.h + s.w * 2;
  const int64_t attention = s.w * ((s.q + 2 * s.k) + s.q + config.num_heads);
  const int64_t narrow_result = converts(s) ? s.e * s.q : 0;
  const int64_t head_norms =
      config.qk_norm ? s.e * (s.q + s.k) + s.w * (config.num_heads + config.num_kv_heads) : 0;
  const int64_t mlp = s.e * 3 * s.i;
  return residual + attention + narrow_result + head_norms + mlp;
}

}  // namespace

int64_t MemoryModel::saved_bytes_per_token() const {
  const Sizes s = sizes_of(*this);
  const int64_t layer = checkpoint_layers ? s.e * s.h : layer_bytes_per_token(*this);
  const int64_t ends = s.e * 2 * s.h + s.w * (1 + config.head_dim);  // last norm, rotation
  return config.num_layers * layer + ends;
}

// Forward holds a chunk's logits and their exponentials; backward holds one of the two (both where
// the entropy has a gradient), the gradient of the output matrix and that of the hidden states.
int64_t MemoryModel::logit_chunk_bytes(int64_t packed_tokens, int64_t chunk,
                                       bool entropy_gradient) const {
  const Sizes s = sizes_of(*this);
  const int64_t rows = std::min(packed_tokens, chunk);
  const int64_t logits = rows * s.v;
  const int64_t forward = logits * 2 * s.w;
  const int64_t backward = logits * (s.w * (entropy_gradient ? 2 : 1) + (converts(s) ? s.e : 0)) +
                           s.w * s.v * s.h + s.e * packed_tokens * s.h;
  return std::max(forward, backward) + rows * s.e * s.h;
}

// The last layer's feed-forward part goes back while all else is still kept: gradients of its
// output, of the product, of gate and up, and of its largest matrix; and the output matrix's
// gradient, which waits for the embedding's where the two are one.
int64_t MemoryModel::layer_backward_bytes(int64_t packed_tokens) const {
  const Sizes s = sizes_of(*this);
  const int64_t tied = config.tie_embeddings ? s.e * s.v * s.h : 0;
  const int64_t again = checkpoint_layers ? packed_tokens * layer_bytes_per_token(*this) : 0;
  return packed_tokens * s.e * (2 * s.h + 3 * s.i) + s.e * 2 * s.i * s.h + tied + again;
}

}  // namespace treepo
