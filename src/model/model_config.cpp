#include "model/model_config.h"

#include <cmath>

#include "base/error.h"
#include "base/files.h"
#include "base/hub_cache.h"  // missing_model_hint

namespace treepo {

namespace {

// Far beyond any model, and small enough that no product of sizes leaves 64 bits.
constexpr int64_t kMaxSize = 1 << 22, kMaxLayers = 1 << 12;
constexpr int64_t kMaxPositions = 1 << 24;  // the decoder tabulates every position

[[noreturn]] void unsupported(const std::string& where, const std::string& what) {
  throw Error(fmt::format("{}: {} is not supported", where, what),
              "treepo runs Llama, Qwen2, Qwen3 and Mistral models with full attention");
}

int64_t positive_int(const Json& config, const std::string& key, const std::string& where,
                     int64_t most = kMaxSize) {
  const int64_t value = get_int(config, key, where);
  if (value < 1 || value > most)
    throw Error(fmt::format("{}: \"{}\" must be in 1…{}, but is {}", where, key, most, value));
  return value;
}

double positive_double(const Json& config, const std::string& key, const std::string& where) {
  const double value = get_double(config, key, where);
  if (!(value > 0) || !std::isfinite(value))
    throw Error(fmt::format("{}: \"{}\" must be above 0, but is {}", where, key, value));
  return value;
}

void read_sizes(const Json& config, const std::string& where, ModelConfig& model) {
  model.vocab_size = positive_int(config, "vocab_size", where);
  model.hidden_size = positive_int(config, "hidden_size", where);
  model.intermediate_size = positive_int(config, "intermediate_size", where);
  model.num_layers = positive_int(config, "num_hidden_layers", where, kMaxLayers);
  model.num_heads = positive_int(config, "num_attention_heads", where);
  model.num_kv_heads = has_key(config, "num_key_value_heads")
                           ? positive_int(config, "num_key_value_heads", where)
                           : model.num_heads;
  model.max_positions = positive_int(config, "max_position_embeddings", where, kMaxPositions);
  model.rms_norm_eps = positive_double(config, "rms_norm_eps", where);
  model.initializer_range = get_double_or(config, "initializer_range", 0.02, where);

  if (model.num_heads % model.num_kv_heads != 0)
    throw Error(
        fmt::format("{}: \"num_attention_heads\" ({}) must be a multiple of "
                    "\"num_key_value_heads\" ({})",
                    where, model.num_heads, model.num_kv_heads));
  if (has_key(config, "head_dim")) {
    model.head_dim = positive_int(config, "head_dim", where);
  } else if (model.model_type == "qwen3") {
    model.head_dim = 128;  // transformers' default, whatever hidden_size is
  } else if (model.hidden_size % model.num_heads == 0) {
    model.head_dim = model.hidden_size / model.num_heads;
  } else {
    throw Error(
        fmt::format("{}: \"hidden_size\" ({}) is no multiple of \"num_attention_heads\" "
                    "({}), and \"head_dim\" is missing",
                    where, model.hidden_size, model.num_heads));
  }
  if (model.query_size() > kMaxSize)
    throw Error(fmt::format("{}: {} heads of {} dimensions are impossible", where, model.num_heads,
                            model.head_dim));
  if (model.head_dim % 2 != 0)
    throw Error(fmt::format("{}: head_dim must be even for rotary embeddings, but is {}", where,
                            model.head_dim));
}

// transformers 5 keeps everything in "rope_parameters", transformers 4 has "rope_theta" beside
// "rope_scaling", whose type was called "type" at first.
void read_rope(const Json& config, const std::string& where, ModelConfig& model) {
  if (has_key(config, "rope_theta"))
    model.rope_theta = positive_double(config, "rope_theta", where);
  const std::string key = has_key(config, "rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (!has_key(config, key)) return;

  const Json& rope = get_object(config, key, where);
  const std::string inside = fmt::format("{}: \"{}\"", where, key);
  if (has_key(rope, "rope_theta")) model.rope_theta = positive_double(rope, "rope_theta", inside);
  if (get_double_or(rope, "partial_rotary_factor", 1.0, inside) != 1.0)
    unsupported(inside, "\"partial_rotary_factor\" other than 1");
  const std::string type =
      get_string_or(rope, "rope_type", get_string_or(rope, "type", "default", inside), inside);
  RopeScaling& scaling = model.rope_scaling;
  if (type == "default") return;
  if (type == "linear") {
    scaling.kind = RopeScaling::Kind::linear;
    scaling.factor = positive_double(rope, "factor", inside);
  } else if (type == "llama3") {
    scaling.kind = RopeScaling::Kind::llama3;
    scaling.factor = positive_double(rope, "factor", inside);
    scaling.low_freq_factor = positive_double(rope, "low_freq_factor", inside);
    scaling.high_freq_factor = positive_double(rope, "high_freq_factor", inside);
    scaling.original_max_positions =
        positive_int(rope, "original_max_position_embeddings", inside, kMaxPositions);
    if (scaling.high_freq_factor <= scaling.low_freq_factor)
      throw Error(
          fmt::format("{}: \"high_freq_factor\" ({}) must be above \"low_freq_factor\" ({})",
                      inside, scaling.high_freq_factor, scaling.low_freq_factor));
  } else {
    unsupported(inside, fmt::format("the rope type \"{}\"", type));
  }
}

// A window at least as long as the context changes nothing, so it is let through.
void refuse_sliding_window(const Json& config, const std::string& where, const ModelConfig& model) {
  if (has_key(config, "layer_types"))
    for (const std::string& type : get_strings(config, "layer_types", where))
      if (type != "full_attention") unsupported(where, fmt::format("the layer type \"{}\"", type));

  bool in_use = false;
  if (model.model_type == "mistral") {
    // transformers' default where the key is absent; null means no window
    const int64_t window =
        config.contains("sliding_window") ? get_int_or(config, "sliding_window", 0, where) : 4096;
    in_use = window > 0 && window < model.max_positions;
  } else if (get_bool_or(config, "use_sliding_window", false, where)) {
    const int64_t window = get_int_or(config, "sliding_window", 4096, where);
    const int64_t full_layers = get_int_or(config, "max_window_layers", 28, where);
    in_use = window < model.max_positions && full_layers < model.num_layers &&
             !has_key(config, "layer_types");
  }
  if (in_use) unsupported(where, "a sliding window of attention (\"sliding_window\")");
}

void refuse_unsupported(const Json& config, const std::string& where, const ModelConfig& model) {
  const std::string activation = get_string_or(config, "hidden_act", "silu", where);
  if (activation != "silu") unsupported(where, fmt::format("\"hidden_act\": \"{}\"", activation));
  if (has_key(config, "quantization_config"))
    unsupported(where, "a quantised checkpoint (\"quantization_config\")");
  if (get_double_or(config, "partial_rotary_factor", 1.0, where) != 1.0)
    unsupported(where, "\"partial_rotary_factor\" other than 1");
  refuse_sliding_window(config, where, model);
}

void read_family(const Json& config, const std::string& where, ModelConfig& model) {
  model.model_type = get_string(config, "model_type", where);
  const std::string& type = model.model_type;
  const bool attention_bias = get_bool_or(config, "attention_bias", false, where);
  if (type == "llama") {
    model.qkv_bias = model.output_bias = attention_bias;
    model.mlp_bias = get_bool_or(config, "mlp_bias", false, where);
  } else if (type == "qwen2") {
    model.qkv_bias = true;
  } else if (type == "qwen3") {
    model.qkv_bias = model.output_bias = attention_bias;
    model.qk_norm = true;
  } else if (type != "mistral") {
    unsupported(where, fmt::format("the architecture \"{}\" (\"model_type\")", type));
  }
  model.tie_embeddings = get_bool_or(config, "tie_word_embeddings", false, where);
}

std::vector<int32_t> eos_ids(const Json& json, const std::string& where, int64_t vocab_size) {
  const std::string key = "eos_token_id";
  if (!json.is_object() || !has_key(json, key)) return {};
  const std::vector<int64_t> ids = json.at(key).is_array()
                                       ? get_ints(json, key, where)
                                       : std::vector<int64_t>{get_int(json, key, where)};
  for (const int64_t id : ids)
    if (id < 0 || id >= vocab_size)
      throw Error(fmt::format("{}: \"{}\" names token {}, but the vocabulary has {} tokens", where,
                              key, id, vocab_size));
  return {ids.begin(), ids.end()};
}

}  // namespace

ModelConfig parse_model_config(const Json& config, const Json& generation, const std::string& where,
                               const std::string& generation_where) {
  if (!config.is_object()) throw Error(fmt::format("{}: a JSON object is expected", where));
  ModelConfig model;
  read_family(config, where, model);
  read_sizes(config, where, model);
  read_rope(config, where, model);
  refuse_unsupported(config, where, model);
  model.dtype =
      get_string_or(config, "dtype", get_string_or(config, "torch_dtype", "", where), where);
  model.eos_token_ids = eos_ids(generation, generation_where, model.vocab_size);
  if (model.eos_token_ids.empty()) model.eos_token_ids = eos_ids(config, where, model.vocab_size);
  model.config_json = config;
  model.generation_json = generation;
  return model;
}

ModelConfig read_model_config(const std::string& directory) {
  const std::string path = join_path(directory, "config.json");
  const std::string generation_path = join_path(directory, "generation_config.json");
  if (!file_system().exists(path))
    throw Error(fmt::format("{} is missing", path), missing_model_hint(directory));
  const Json generation =
      file_system().exists(generation_path) ? read_json_file(generation_path) : Json();
  return parse_model_config(read_json_file(path), generation, path, generation_path);
}

ModelConfig fresh_model_config(const ModelOptions& options, int64_t vocab_size,
                               const SpecialTokens& special) {
  const auto token = [](int32_t id) { return id < 0 ? Json() : Json(id); };
  const std::string& type = options.architecture;
  const Json class_names = {{"llama", "LlamaForCausalLM"},
                            {"qwen2", "Qwen2ForCausalLM"},
                            {"qwen3", "Qwen3ForCausalLM"},
                            {"mistral", "MistralForCausalLM"}};
  if (!class_names.contains(type)) unsupported("model.architecture", fmt::format("\"{}\"", type));
  if (options.num_heads < 1 || options.hidden_size % options.num_heads != 0)
    throw Error(fmt::format("model.hidden_size ({}) must be a multiple of model.num_heads ({})",
                            options.hidden_size, options.num_heads));
  // In the form of transformers 4, which its version 5 and other programs read as well.
  Json config = {{"architectures", {class_names.at(type)}},
                 {"model_type", type},
                 {"vocab_size", vocab_size},
                 {"hidden_size", options.hidden_size},
                 {"intermediate_size", options.intermediate_size},
                 {"num_hidden_layers", options.num_layers},
                 {"num_attention_heads", options.num_heads},
                 {"num_key_value_heads", options.num_kv_heads},
                 {"head_dim", options.hidden_size / options.num_heads},
                 {"max_position_embeddings", options.max_positions},
                 {"rope_theta", options.rope_theta},
                 {"rope_scaling", nullptr},
                 {"rms_norm_eps", 1e-6},
                 {"initializer_range", options.initializer_range},
                 {"tie_word_embeddings", options.tie_embeddings},
                 {"hidden_act", "silu"},
                 {"attention_dropout", 0.0},
                 {"use_cache", true},
                 {"bos_token_id", token(special.bos)},
                 {"eos_token_id", token(special.eos)},
                 {"pad_token_id", token(special.pad)}};
  if (type == "mistral") config["sliding_window"] = nullptr;
  const Json generation = {{"bos_token_id", token(special.bos)},
                           {"eos_token_id", token(special.eos)},
                           {"pad_token_id", token(special.pad)}};
  return parse_model_config(config, generation, "the options of a fresh model",
                            "the options of a fresh model");
}

}  // namespace treepo
