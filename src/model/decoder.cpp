#include "model/decoder.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

#include "base/error.h"
#include "model/embedding.h"
#include "model/linear.h"
#include "model/ops.h"
#include "model/recompute.h"

namespace treepo {

namespace {

// Wavelengths in tokens decide how far a frequency is scaled; see RopeScaling.
double scaled_frequency(double frequency, const RopeScaling& scaling) {
  if (scaling.kind == RopeScaling::Kind::none) return frequency;
  if (scaling.kind == RopeScaling::Kind::linear) return frequency / scaling.factor;
  const double wavelength = 2 * std::numbers::pi / frequency;
  const auto original = static_cast<double>(scaling.original_max_positions);
  if (wavelength < original / scaling.high_freq_factor) return frequency;
  if (wavelength > original / scaling.low_freq_factor) return frequency / scaling.factor;
  const double kept = (original / wavelength - scaling.low_freq_factor) /
                      (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1 - kept) * frequency / scaling.factor + kept * frequency;
}

}  // namespace

at::Tensor AttentionLayer::rotate_and_attend(int64_t layer, const at::Tensor& qkv,
                                             const at::Tensor& rope, int64_t rotated_heads,
                                             KernelChoice kernels) {
  return attend(layer, rotate(qkv, rope, rotated_heads, kernels));
}

Decoder::Decoder(ModelConfig config, c10::Device device, c10::ScalarType dtype)
    : config_(std::move(config)), parameters_(device, dtype) {
  lay_out();
}

void Decoder::allocate() {
  parameters_.allocate();
  make_rope_table();
}

int64_t Decoder::count_parameters(const ModelConfig& config) {
  return Decoder(config, c10::kCPU, c10::kFloat).parameters_.count();
}

Decoder Decoder::copy_on(c10::Device device) const {
  Decoder copy(config_, device, dtype());
  copy.allocate();
  if (adapters_) copy.add_adapters(adapters_->options(), adapters_->base_path(), 0);
  copy.take_weights(*this);
  return copy;
}

void Decoder::take_weights(const Decoder& from) {
  TREEPO_CHECK(adapters_.has_value() == from.adapters_.has_value(), "adapters on one side only");
  const at::NoGradGuard no_grad;
  parameters_.values().copy_(from.parameters_.values());
  if (adapters_) adapters_->parameters().values().copy_(from.adapters_->parameters().values());
}

void Decoder::lay_out() {
  const int64_t hidden = config_.hidden_size, vocab = config_.vocab_size;
  embedding_ = parameters_.add({vocab, hidden}, {{"model.embed_tokens.weight", vocab}});
  for (int64_t i = 0; i < config_.num_layers; ++i)
    layers_.push_back(lay_out_layer(fmt::format("model.layers.{}.", i)));
  final_norm_ = parameters_.add({hidden}, {{"model.norm.weight", hidden}});
  if (!config_.tie_embeddings)
    head_ = parameters_.add({vocab, hidden}, {{"lm_head.weight", vocab}});
}

Decoder::Layer Decoder::lay_out_layer(const std::string& prefix) {
  using Part = ParameterStore::Part;
  const int64_t hidden = config_.hidden_size, inner = config_.intermediate_size;
  const int64_t q = config_.query_size(), kv = config_.key_value_size();
  // A weight [rows, columns] made of parts; a bias has the same rows.
  const auto weight = [&](std::vector<Part> parts, int64_t columns) {
    int64_t rows = 0;
    for (Part& part : parts) {
      part.name = prefix + part.name + ".weight";
      rows += part.rows;
    }
    return parameters_.add({rows, columns}, std::move(parts));
  };
  const auto bias = [&](bool present, std::vector<Part> parts) -> int64_t {
    if (!present) return -1;
    int64_t rows = 0;
    for (Part& part : parts) {
      part.name = prefix + part.name + ".bias";
      rows += part.rows;
    }
    return parameters_.add({rows}, std::move(parts));
  };
  const auto norm = [&](const std::string& name, int64_t size) {
    return parameters_.add({size}, {{prefix + name + ".weight", size}});
  };
  const std::vector<Part> qkv = {
      {"self_attn.q_proj", q}, {"self_attn.k_proj", kv}, {"self_attn.v_proj", kv}};
  const std::vector<Part> output = {{"self_attn.o_proj", hidden}};
  const std::vector<Part> gate_up = {{"mlp.gate_proj", inner}, {"mlp.up_proj", inner}};
  const std::vector<Part> down = {{"mlp.down_proj", hidden}};

  Layer layer;  // braces would leave the order of the layout to chance
  layer.input_norm = norm("input_layernorm", hidden);
  layer.qkv_weight = weight(qkv, hidden);
  layer.qkv_bias = bias(config_.qkv_bias, qkv);
  layer.query_norm = config_.qk_norm ? norm("self_attn.q_norm", config_.head_dim) : -1;
  layer.key_norm = config_.qk_norm ? norm("self_attn.k_norm", config_.head_dim) : -1;
  layer.output_weight = weight(output, q);
  layer.output_bias = bias(config_.output_bias, output);
  layer.mlp_norm = norm("post_attention_layernorm", hidden);
  layer.gate_up_weight = weight(gate_up, hidden);
  layer.gate_up_bias = bias(config_.mlp_bias, gate_up);
  layer.down_weight = weight(down, inner);
  layer.down_bias = bias(config_.mlp_bias, down);
  return layer;
}

void Decoder::make_rope_table() {
  const int64_t half = config_.head_dim / 2;
  at::Tensor frequencies = at::empty({half}, at::kDouble);
  for (int64_t i = 0; i < half; ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(config_.head_dim);
    frequencies.data_ptr<double>()[i] =
        scaled_frequency(std::pow(config_.rope_theta, -exponent), config_.rope_scaling);
  }
  const at::Tensor positions = at::arange(config_.max_positions, at::kDouble);
  const at::Tensor angles = at::outer(positions, frequencies);
  rope_table_ = at::cat({angles.cos(), angles.sin()}, 1).to(device(), attention_dtype());
}

c10::ScalarType Decoder::attention_dtype() const {
  return dtype() == at::kDouble ? at::kDouble : at::kFloat;
}

const at::Tensor& Decoder::head_weight() const {
  return parameters_.tensor(config_.tie_embeddings ? embedding_ : head_);
}

at::Tensor Decoder::head_gradient() const {
  return parameters_.gradient(config_.tie_embeddings ? embedding_ : head_);
}

void Decoder::add_adapters(const LoraOptions& options, const std::string& base_path,
                           uint64_t seed) {
  TREEPO_CHECK(!adapters_, "adapters are there already");
  parameters_.freeze();
  adapters_.emplace(parameters_, options, base_path, seed);
}

void Decoder::merge_adapters() {
  TREEPO_CHECK(adapters_.has_value(), "no adapters to merge");
  adapters_->merge_into(parameters_);
  adapters_.reset();
}

// x · weightᵀ + bias + residual, with what the weight's adapters add.
at::Tensor Decoder::projected(const at::Tensor& x, int64_t weight, int64_t bias,
                              KernelChoice kernels, const at::Tensor& residual,
                              ResultUse use) const {
  LinearGradients gradients;
  if (at::GradMode::is_enabled()) {
    gradients.weight = parameters_.gradient(weight);
    if (bias >= 0) gradients.bias = parameters_.gradient(bias);
  }
  const at::Tensor y =
      linear(x, parameters_.tensor(weight), bias < 0 ? at::Tensor() : parameters_.tensor(bias),
             residual, kernels, gradients, use);
  return active_adapters() != nullptr ? adapters_->add(y, x, weight) : y;
}

at::Tensor Decoder::queries_keys_values(const Layer& layer, const at::Tensor& x,
                                        KernelChoice kernels) const {
  const int64_t heads = config_.num_heads, kv_heads = config_.num_kv_heads;
  at::Tensor qkv = projected(x, layer.qkv_weight, layer.qkv_bias, kernels)
                       .view({x.size(0), heads + 2 * kv_heads, config_.head_dim});
  if (config_.qk_norm) {
    const double eps = config_.rms_norm_eps;
    const auto parts = qkv.split_with_sizes({heads, kv_heads, kv_heads}, 1);
    qkv = at::cat({rms_norm(parts[0], parameters_.tensor(layer.query_norm), eps, kernels),
                   rms_norm(parts[1], parameters_.tensor(layer.key_norm), eps, kernels), parts[2]},
                  1);
  }
  return qkv;
}

at::Tensor Decoder::mlp(const Layer& layer, const at::Tensor& x, KernelChoice kernels,
                        ResultUse use) const {
  const at::Tensor normed =
      rms_norm(x, parameters_.tensor(layer.mlp_norm), config_.rms_norm_eps, kernels);
  const at::Tensor inner =
      swiglu(projected(normed, layer.gate_up_weight, layer.gate_up_bias, kernels), kernels);
  return projected(inner, layer.down_weight, layer.down_bias, kernels, x, use);
}

at::Tensor Decoder::embedded(const at::Tensor& tokens) const {
  return embedding_rows(parameters_.tensor(embedding_), tokens, parameters_.gradient(embedding_));
}

// rows: only these go on after attention.
at::Tensor Decoder::attended(size_t index, at::Tensor x, const at::Tensor& rope,
                             AttentionLayer& attention, const std::optional<at::Tensor>& rows,
                             KernelChoice kernels) const {
  const Layer& layer = layers_[index];
  const at::Tensor normed =
      rms_norm(x, parameters_.tensor(layer.input_norm), config_.rms_norm_eps, kernels);
  const at::Tensor qkv = queries_keys_values(layer, normed, kernels);
  at::Tensor found = attention.rotate_and_attend(static_cast<int64_t>(index), qkv, rope,
                                                 config_.num_heads + config_.num_kv_heads, kernels);
  if (rows) {
    found = found.index_select(0, *rows);
    x = x.index_select(0, *rows);
  }
  return projected(found, layer.output_weight, layer.output_bias, kernels, x);
}

at::Tensor Decoder::hidden(const at::Tensor& tokens, const at::Tensor& positions,
                           AttentionLayer& attention, const std::optional<at::Tensor>& rows,
                           KernelChoice kernels) const {
  const at::Tensor rope = rope_table_.index_select(0, positions);
  at::Tensor x = embedded(tokens);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const bool last = i + 1 == layers_.size();  // its end serves no row that is not asked for
    x = attended(i, x, rope, attention, last ? rows : std::nullopt, kernels);
    x = mlp(layers_[i], x, kernels);
  }
  return rms_norm(x, parameters_.tensor(final_norm_), config_.rms_norm_eps, kernels);
}

at::Tensor Decoder::hidden_recomputed(const at::Tensor& tokens, const at::Tensor& positions,
                                      std::shared_ptr<AttentionLayer> attention) const {
  const at::Tensor rope = rope_table_.index_select(0, positions);
  at::Tensor x = embedded(tokens);
  // Under adapters the embedding is frozen, but what follows has gradients.
  if (at::GradMode::is_enabled() && !x.requires_grad()) x = x.detach().set_requires_grad(true);
  for (size_t i = 0; i < layers_.size(); ++i)
    x = recomputed(
        x,
        [this, i, rope, attention](const at::Tensor& input) {
          return attended(i, input, rope, *attention, {}, KernelChoice::best);
        },
        [this, i](const at::Tensor& input, ResultUse use) {
          return mlp(layers_[i], input, KernelChoice::best, use);
        },
        kRecomputedRows);
  return rms_norm(x, parameters_.tensor(final_norm_), config_.rms_norm_eps);
}

}  // namespace treepo
