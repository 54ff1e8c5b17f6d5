// Reads config.json in both published forms; names whatever is missing, impossible or unsupported.

#include "model/model_config.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

Json llama() {
  return {{"model_type", "llama"},    {"vocab_size", 100},
          {"hidden_size", 64},        {"intermediate_size", 96},
          {"num_hidden_layers", 2},   {"num_attention_heads", 4},
          {"num_key_value_heads", 2}, {"max_position_embeddings", 256},
          {"rms_norm_eps", 1e-5},     {"rope_theta", 500000.0},
          {"eos_token_id", 7}};
}

ModelConfig parse(const Json& config, const Json& generation = {}) {
  return parse_model_config(config, generation, "config.json", "generation_config.json");
}

Json with(Json config, const std::string& key, const Json& value) {
  config[key] = value;
  return config;
}

Json without(Json config, const std::string& key) {
  config.erase(key);
  return config;
}

void expect_error(const Json& config, const std::string& part) {
  const std::string message = error_of([&] { parse(config); });
  EXPECT_NE(message.find("config.json"), std::string::npos) << message;
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(ModelConfig, ReadsLlamaWithDefaults) {
  const ModelConfig model = parse(llama());
  EXPECT_EQ(model.model_type, "llama");
  EXPECT_EQ(model.head_dim, 16);
  EXPECT_EQ(model.num_kv_heads, 2);
  EXPECT_EQ(model.rope_theta, 500000);
  EXPECT_EQ(model.rope_scaling.kind, RopeScaling::Kind::none);
  EXPECT_FALSE(model.tie_embeddings || model.qkv_bias || model.output_bias || model.mlp_bias ||
               model.qk_norm);
  EXPECT_EQ(model.eos_token_ids, std::vector<int32_t>{7});
  EXPECT_EQ(parse(without(llama(), "num_key_value_heads")).num_kv_heads, 4);
  EXPECT_EQ(parse(with(llama(), "head_dim", 20)).head_dim, 20);
  EXPECT_EQ(parse(without(llama(), "rope_theta")).rope_theta, 10000);
}

TEST(ModelConfig, FamiliesDifferInBiasAndNorm) {
  const ModelConfig biased = parse(with(with(llama(), "attention_bias", true), "mlp_bias", true));
  EXPECT_TRUE(biased.qkv_bias && biased.output_bias && biased.mlp_bias && !biased.qk_norm);
  const ModelConfig qwen2 = parse(with(llama(), "model_type", "qwen2"));
  EXPECT_TRUE(qwen2.qkv_bias && !qwen2.output_bias && !qwen2.qk_norm);
  const ModelConfig qwen3 = parse(with(llama(), "model_type", "qwen3"));
  EXPECT_TRUE(!qwen3.qkv_bias && qwen3.qk_norm);
  EXPECT_EQ(qwen3.head_dim, 128);  // whatever hidden_size is
  const ModelConfig mistral = parse(with(llama(), "model_type", "mistral"));
  EXPECT_TRUE(!mistral.qkv_bias && !mistral.qk_norm);
}

TEST(ModelConfig, ReadsRopeInBothForms) {
  const Json scaling = {{"factor", 8.0},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"original_max_position_embeddings", 64},
                        {"rope_type", "llama3"}};
  Json inner = scaling;
  inner["rope_theta"] = 500000.0;
  for (const ModelConfig& model :
       {parse(with(llama(), "rope_scaling", scaling)),
        parse(with(without(llama(), "rope_theta"), "rope_parameters", inner))}) {
    EXPECT_EQ(model.rope_theta, 500000);
    EXPECT_EQ(model.rope_scaling.kind, RopeScaling::Kind::llama3);
    EXPECT_EQ(model.rope_scaling.factor, 8);
    EXPECT_EQ(model.rope_scaling.original_max_positions, 64);
  }
  const ModelConfig linear =
      parse(with(llama(), "rope_scaling", Json{{"type", "linear"}, {"factor", 2.0}}));
  EXPECT_EQ(linear.rope_scaling.kind, RopeScaling::Kind::linear);
  EXPECT_EQ(linear.rope_scaling.factor, 2);
  EXPECT_EQ(parse(with(llama(), "rope_scaling", nullptr)).rope_scaling.kind,
            RopeScaling::Kind::none);
}

TEST(ModelConfig, EndOfSequenceComesFromGenerationConfigFirst) {
  EXPECT_EQ(parse(llama(), {{"eos_token_id", {3, 5}}}).eos_token_ids, (std::vector<int32_t>{3, 5}));
  EXPECT_EQ(parse(llama(), {{"eos_token_id", 3}}).eos_token_ids, std::vector<int32_t>{3});
  EXPECT_EQ(parse(llama(), {{"eos_token_id", nullptr}}).eos_token_ids, std::vector<int32_t>{7});
  EXPECT_EQ(parse(llama(), {{"temperature", 1}}).eos_token_ids, std::vector<int32_t>{7});
  EXPECT_TRUE(parse(with(llama(), "eos_token_id", nullptr)).eos_token_ids.empty());
  expect_error(with(llama(), "eos_token_id", 100), "names token 100");
  const std::string message = error_of([] { parse(llama(), {{"eos_token_id", {3, -1}}}); });
  EXPECT_NE(message.find("generation_config.json"), std::string::npos) << message;
}

TEST(ModelConfig, NamesMissingAndImpossibleValues) {
  for (const char* key :
       {"model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "max_position_embeddings", "rms_norm_eps"})
    expect_error(without(llama(), key), key);
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                          "num_key_value_heads", "max_position_embeddings"})
    for (const Json& bad : {Json(0), Json(-4), Json(1e18), Json("4"), Json(1.5)})
      expect_error(with(llama(), key, bad), key);
  expect_error(with(llama(), "rms_norm_eps", 0), "rms_norm_eps");
  expect_error(with(llama(), "num_key_value_heads", 3), "multiple");
  expect_error(with(llama(), "num_attention_heads", 6), "head_dim");
  expect_error(with(llama(), "head_dim", 7), "even");
  expect_error(Json::array(), "object");
}

TEST(ModelConfig, NamesWhatIsUnsupported) {
  for (const char* type : {"qwen3_moe", "gemma2", "gpt2"})
    expect_error(with(llama(), "model_type", type), std::string("\"") + type + "\"");
  expect_error(with(llama(), "rope_scaling", Json{{"rope_type", "yarn"}, {"factor", 4.0}}), "yarn");
  expect_error(with(llama(), "rope_scaling", Json{{"type", "dynamic"}, {"factor", 4.0}}),
               "dynamic");
  expect_error(with(llama(), "rope_parameters", Json{{"partial_rotary_factor", 0.5}}), "partial");
  expect_error(with(llama(), "hidden_act", "gelu"), "gelu");
  expect_error(with(llama(), "quantization_config", Json{{"bits", 4}}), "quantization_config");
  expect_error(with(llama(), "layer_types", Json{"full_attention", "sliding_attention"}),
               "sliding_attention");
}

TEST(ModelConfig, SlidingWindowsAreRefusedOnlyWhereTheyHideSomething) {
  const Json mistral = with(llama(), "model_type", "mistral");
  parse(with(mistral, "sliding_window", nullptr));
  parse(with(mistral, "sliding_window", 256));  // as long as the context
  expect_error(with(mistral, "sliding_window", 255), "sliding_window");
  parse(mistral);  // transformers' default of 4096 exceeds the context
  expect_error(with(mistral, "max_position_embeddings", 32768), "sliding_window");

  const Json qwen = with(with(llama(), "model_type", "qwen2"), "sliding_window", 128);
  parse(with(qwen, "use_sliding_window", false));
  const Json used = with(qwen, "use_sliding_window", true);
  parse(with(used, "max_window_layers", 2));  // as many full layers as there are
  expect_error(with(used, "max_window_layers", 1), "sliding_window");
}

TEST(ModelConfig, FreshConfigIsReadBack) {
  ModelOptions options;
  for (const char* type : {"llama", "qwen2", "qwen3", "mistral"}) {
    options.architecture = type;
    const ModelConfig model = fresh_model_config(options, 24, {.bos = -1, .eos = 2, .pad = 0});
    EXPECT_EQ(model.model_type, type);
    EXPECT_EQ(model.head_dim, 24);
    EXPECT_EQ(model.eos_token_ids, std::vector<int32_t>{2});
    const ModelConfig again = parse(model.config_json, model.generation_json);
    EXPECT_EQ(again.config_json, model.config_json);
    EXPECT_EQ(again.max_positions, options.max_positions);
  }
  options.architecture = "gpt2";
  EXPECT_NE(error_of([&] { fresh_model_config(options, 24, {}); }).find("gpt2"), std::string::npos);
  options.architecture = "llama";
  options.num_heads = 5;
  EXPECT_NE(error_of([&] { fresh_model_config(options, 24, {}); }).find("num_heads"),
            std::string::npos);
}

TEST(ModelConfig, MissingDirectoryAndBrokenJsonNameTheFile) {
  const TemporaryDirectory directory;
  EXPECT_NE(error_of([&] { read_model_config(directory.path()); }).find("config.json is missing"),
            std::string::npos);
  write_file_atomically(directory / "config.json", "{\"model_type\": ");
  EXPECT_NE(error_of([&] { read_model_config(directory.path()); }).find(directory / "config.json"),
            std::string::npos);
}

}  // namespace
}  // namespace treepo
