#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/adapters.h"
#include "model/kernel_choice.h"
#include "model/linear.h"  // ResultUse
#include "model/model_config.h"
#include "model/parameter_store.h"

namespace treepo {

// What differs between rollout (cached tree, no gradient) and update (packed tree, autograd).
class AttentionLayer {
 public:
  virtual ~AttentionLayer() = default;

  // qkv: [N, num_heads + 2 * num_kv_heads, head_dim], queries, then keys, then values; queries and
  // keys are normalised and rotated already. Returns [N, num_heads * head_dim].
  virtual at::Tensor attend(int64_t layer, const at::Tensor& qkv) = 0;

  // The same where the first `rotated_heads` heads, queries and keys, are not rotated yet; it may
  // overwrite qkv. rope: [N, head_dim], as ops.h's rotate takes it.
  virtual at::Tensor rotate_and_attend(int64_t layer, const at::Tensor& qkv, const at::Tensor& rope,
                                       int64_t rotated_heads, KernelChoice kernels);
};

// Tokens whose gate, up and product exist at once where layers are run again.
inline constexpr int64_t kRecomputedRows = 1024;

// Llama, Qwen2, Qwen3 and Mistral. Runs any set of tokens, each with its position; which of them
// see which is the AttentionLayer's business.
class Decoder {
 public:
  // Throws Error that names the tensor on a missing, misshapen or unexpected weight.
  static Decoder load(const std::string& directory, c10::Device device, c10::ScalarType dtype);

  // Parameters of such a model, without making one.
  static int64_t count_parameters(const ModelConfig& config);

  // Weights from Purpose::weights: normal(0, initializer_range), biases 0, norms 1.
  static Decoder random(const ModelConfig& config, uint64_t seed, c10::Device device,
                        c10::ScalarType dtype);

  // tokens, positions: int64 [N] on the model's device. Returns the hidden states after the last
  // norm: [N, hidden_size], or of the rows in `rows` (int64, ascending) only.
  at::Tensor hidden(const at::Tensor& tokens, const at::Tensor& positions,
                    AttentionLayer& attention, const std::optional<at::Tensor>& rows = {},
                    KernelChoice kernels = KernelChoice::best) const;

  Decoder copy_on(c10::Device device) const;  // the same weights and adapters there
  void take_weights(const Decoder& from);     // of a copy's origin

  // The same with less memory for the backward pass, which runs each layer again from its input,
  // its feed-forward part for kRecomputedRows tokens at a time: gradients are equal bit by bit up
  // to that many tokens, and sums of another order beyond. The decoder must outlive it.
  at::Tensor hidden_recomputed(const at::Tensor& tokens, const at::Tensor& positions,
                               std::shared_ptr<AttentionLayer> attention) const;

  // [vocab_size, hidden_size]: logits = hidden · head_weightᵀ. The embedding itself where tied.
  const at::Tensor& head_weight() const;
  at::Tensor head_gradient() const;  // undefined before parameters().enable_gradients()

  const ModelConfig& config() const { return config_; }
  ParameterStore& parameters() { return parameters_; }
  const ParameterStore& parameters() const { return parameters_; }
  c10::Device device() const { return parameters_.device(); }

  // Freezes the weights and trains low-rank adapters beside them, which change nothing yet.
  // base_path: where the weights were loaded from, for those who load the adapters.
  void add_adapters(const LoraOptions& options, const std::string& base_path, uint64_t seed);
  // Adds what the adapters do to the weights and drops them.
  void merge_adapters();
  const Adapters* adapters() const { return adapters_ ? &*adapters_ : nullptr; }
  const Adapters* active_adapters() const { return adapters_on_ ? adapters() : nullptr; }
  // What training changes: the adapters where there are any, else all weights.
  ParameterStore& trainable() { return adapters_ ? adapters_->parameters() : parameters_; }
  c10::ScalarType dtype() const { return parameters_.dtype(); }
  // In which attention, rotation and logits are computed: float64 for float64, else float32.
  c10::ScalarType attention_dtype() const;

  // config.json, generation_config.json and the weights as `dtype`, into an existing directory.
  void save(const std::string& directory, c10::ScalarType dtype,
            uint64_t shard_bytes = 5'000'000'000) const;

 private:
  friend class AdaptersOff;

  struct Layer {  // indices of parameters; -1: none
    int64_t input_norm, qkv_weight, qkv_bias, query_norm, key_norm, output_weight, output_bias;
    int64_t mlp_norm, gate_up_weight, gate_up_bias, down_weight, down_bias;
  };

  Decoder(ModelConfig config, c10::Device device, c10::ScalarType dtype);
  void lay_out();
  void allocate();
  Layer lay_out_layer(const std::string& prefix);
  void make_rope_table();
  at::Tensor projected(const at::Tensor& x, int64_t weight, int64_t bias, KernelChoice kernels,
                       const at::Tensor& residual = {}, ResultUse use = ResultUse::read) const;
  at::Tensor queries_keys_values(const Layer& layer, const at::Tensor& x,
                                 KernelChoice kernels) const;
  at::Tensor mlp(const Layer& layer, const at::Tensor& x, KernelChoice kernels,
                 ResultUse use = ResultUse::read) const;
  at::Tensor embedded(const at::Tensor& tokens) const;
  at::Tensor attended(size_t index, at::Tensor x, const at::Tensor& rope, AttentionLayer& attention,
                      const std::optional<at::Tensor>& rows, KernelChoice kernels) const;

  ModelConfig config_;
  ParameterStore parameters_;
  std::vector<Layer> layers_;
  std::optional<Adapters> adapters_;
  bool adapters_on_ = true;
  int64_t embedding_ = -1, final_norm_ = -1, head_ = -1;
  at::Tensor rope_table_;  // [max_positions, head_dim]: cos of head_dim / 2 angles, then their sin
};

// The decoder without its adapters, as it was before training, for a scope.
class AdaptersOff {
 public:
  explicit AdaptersOff(Decoder& decoder) : decoder_(decoder) { decoder_.adapters_on_ = false; }
  ~AdaptersOff() { decoder_.adapters_on_ = true; }
  AdaptersOff(const AdaptersOff&) = delete;
  AdaptersOff& operator=(const AdaptersOff&) = delete;

 private:
  Decoder& decoder_;
};

// Copies tokenizer.json and what else describes a tokenizer (config, special tokens, chat template)
// from one model directory to another. Files that `from` lacks are left out.
void copy_tokenizer_files(const std::string& from, const std::string& to);

}  // namespace treepo
