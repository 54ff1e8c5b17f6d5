#include "model/adapters.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <map>

#include "base/files.h"
#include "base/json.h"
#include "model/adapter_files.h"
#include "model/packed_forward.h"
#include "model/safetensors.h"
#include "random_adapters.h"
#include "random_tree.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "tiny_models.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::vector<std::vector<std::string>> kTargets = {
    LoraOptions().targets, {"q_proj"},    {"k_proj"},  {"v_proj"},   {"q_proj", "v_proj"},
    {"k_proj", "o_proj"},  {"gate_proj"}, {"up_proj"}, {"down_proj"}};

LoraOptions lora(std::vector<std::string> targets, int64_t rank = 3) {
  return {.rank = rank, .alpha = 6, .targets = std::move(targets)};
}

Decoder tiny(const std::string& architecture, c10::ScalarType dtype = at::kDouble) {
  return Decoder::random(tiny_config(architecture), 7, at::kCPU, dtype);
}

const PackedSequence& trees() {
  static const PackedSequence sequence = random_trees(7, 40, 15, 50).packed;
  return sequence;
}

at::Tensor hidden_of(const Decoder& decoder) {
  const at::NoGradGuard no_grad;
  return packed_hidden(decoder, trees());
}

double difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

std::map<std::string, at::Tensor> gradients_of(Decoder& decoder, bool checkpoint_layers = false) {
  decoder.trainable().enable_gradients();
  decoder.trainable().zero_gradients();
  const at::Tensor hidden = packed_hidden(decoder, trees(), checkpoint_layers);
  at::manual_seed(9);
  torch::autograd::backward({hidden},
                            {at::randn(hidden.sizes(), at::kDouble).to(hidden.scalar_type())});
  std::map<std::string, at::Tensor> gradients;
  for (const auto& [name, gradient] : decoder.trainable().named_gradients())
    gradients[name] = gradient.clone();
  return gradients;
}

TEST(Adapters, FreshOnesChangeNoBit) {
  for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
    Decoder decoder = tiny("qwen2", dtype);
    const at::Tensor before = hidden_of(decoder);
    decoder.add_adapters(lora(LoraOptions().targets), "base", 1);
    EXPECT_TRUE(hidden_of(decoder).equal(before));
    for (const auto& [name, tensor] : decoder.trainable().named_tensors())
      EXPECT_EQ(tensor.abs().sum().item<double>() > 0, name.ends_with("lora_A.weight")) << name;
  }
}

TEST(Adapters, GiveWhatTheMergedModelGives) {
  for (const std::string architecture : {"llama", "qwen2", "qwen3", "mistral"})
    for (const auto& targets : kTargets) {
      Decoder decoder = tiny(architecture);
      const at::Tensor before = hidden_of(decoder);
      decoder.add_adapters(lora(targets), "base", 1);
      randomize_adapters(decoder);
      const at::Tensor adapted = hidden_of(decoder);
      EXPECT_GT(difference(adapted, before), 1e-3);
      {
        const AdaptersOff off(decoder);
        EXPECT_TRUE(hidden_of(decoder).equal(before));
      }
      decoder.merge_adapters();
      EXPECT_EQ(decoder.adapters(), nullptr);
      EXPECT_LT(difference(hidden_of(decoder), adapted), 1e-11) << architecture << targets[0];
    }
}

// With W' = W + s B A: dL/dB = s dL/dW' Aᵀ and dL/dA = s Bᵀ dL/dW'.
TEST(Adapters, GradientsAreThoseOfTheMergedWeights) {
  for (const std::string architecture : {"qwen2", "qwen3"})
    for (const auto& targets : kTargets) {
      Decoder decoder = tiny(architecture);
      decoder.add_adapters(lora(targets), "base", 1);
      randomize_adapters(decoder);
      const auto found = gradients_of(decoder);
      std::map<std::string, at::Tensor> values;
      for (const auto& [name, tensor] : decoder.trainable().named_tensors())
        values[name] = tensor.clone();
      decoder.merge_adapters();
      // Frozen weights stay frozen: the twin is a fresh decoder of the same values.
      Decoder merged = tiny(architecture);
      merged.parameters().values().copy_(decoder.parameters().values());
      const auto dense = gradients_of(merged);
      for (const auto& [name, gradient] : found) {
        const std::string module =
            name.substr(std::string("base_model.model.").size(),
                        name.find(".lora_") - std::string("base_model.model.").size());
        const std::string stem = "base_model.model." + module;
        const at::Tensor& dw = dense.at(module + ".weight");
        const at::Tensor& a = values.at(stem + ".lora_A.weight");
        const at::Tensor& b = values.at(stem + ".lora_B.weight");
        const at::Tensor expected =
            2.0 * (name.ends_with("lora_A.weight") ? b.t().mm(dw) : dw.mm(a.t()));
        EXPECT_LT(difference(gradient, expected), 1e-9 * (1 + expected.abs().max().item<double>()))
            << name;
        EXPECT_GT(gradient.abs().max().item<double>(), 0) << name;
      }
      EXPECT_EQ(found.size(), 2 * 2 * targets.size());  // A and B in two layers
    }
}

TEST(Adapters, LayersRunAgainGiveTheSameGradientBits) {
  for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
    Decoder decoder = tiny("qwen3", dtype);
    decoder.add_adapters(lora(LoraOptions().targets), "base", 1);
    randomize_adapters(decoder);
    const auto kept = gradients_of(decoder), again = gradients_of(decoder, true);
    for (const auto& [name, gradient] : kept) {
      EXPECT_TRUE(again.at(name).equal(gradient)) << name;
      EXPECT_GT(gradient.abs().sum().item<double>(), 0) << name;
    }
  }
}

TEST(Adapters, FrozenWeightsHaveNoGradients) {
  Decoder decoder = tiny("llama");
  decoder.parameters().enable_gradients();
  decoder.add_adapters(lora({"q_proj"}), "base", 1);
  EXPECT_FALSE(decoder.parameters().gradients().defined());
  EXPECT_FALSE(decoder.head_gradient().defined());
  for (int64_t i = 0; i < decoder.parameters().num_parameters(); ++i)
    EXPECT_FALSE(decoder.parameters().tensor(i).requires_grad());
  EXPECT_EQ(decoder.trainable().count(), 2 * (3 * 40 + 40 * 3));
}

TEST(Adapters, DrawsDependOnTheSeedAlone) {
  const auto values = [](uint64_t seed, c10::ScalarType dtype) {
    Decoder decoder = tiny("llama", dtype);
    decoder.add_adapters(lora({"q_proj", "v_proj"}), "base", seed);
    return decoder.trainable().named_tensors();
  };
  const auto one = values(1, at::kDouble), same = values(1, at::kFloat),
             two = values(2, at::kDouble);
  bool all_equal = true;
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_TRUE(one[i].second.to(at::kFloat).equal(same[i].second));
    EXPECT_LE(one[i].second.abs().max().item<double>(), 1 / std::sqrt(40.0));
    all_equal = all_equal && one[i].second.equal(two[i].second);
  }
  EXPECT_FALSE(all_equal);
}

// A base on disk and an adapter with drawn weights beside it.
struct Files {
  TemporaryDirectory folder;
  std::string base = folder / "base", adapter = folder / "adapter";
  Decoder decoder = tiny("qwen2");

  Files() {
    posix_file_system().make_directories(base);
    posix_file_system().make_directories(adapter);
    decoder.save(base, at::kDouble);
    decoder.add_adapters(lora({"q_proj", "v_proj", "down_proj"}), base, 1);
    randomize_adapters(decoder);
    save_adapter(decoder, adapter);
  }
  Json config() const { return read_json_file(adapter + "/adapter_config.json"); }
  void write_config(const Json& json) const {
    write_file_atomically(adapter + "/adapter_config.json", dump_json(json));
  }
  std::string error() const {
    return error_of([&] { load_decoder(adapter, at::kCPU, at::kDouble); });
  }
};

TEST(AdapterFiles, HoldPeftsNamesAndLoadBackBitByBit) {
  const Files files;
  const Json config = files.config();
  EXPECT_EQ(config["peft_type"], "LORA");
  EXPECT_EQ(config["r"], 3);
  EXPECT_EQ(config["lora_alpha"], 6);
  EXPECT_EQ(config["base_model_name_or_path"], files.base);
  const SafetensorsFile weights(files.adapter + "/adapter_model.safetensors");
  EXPECT_EQ(weights.entries().size(), 2u * 2 * 3);
  const auto shape = [&](const std::string& name) {
    return weights.entries().at("base_model.model.model.layers.1." + name + ".weight").shape;
  };
  EXPECT_EQ(shape("self_attn.v_proj.lora_A"), (std::vector<int64_t>{3, 40}));
  EXPECT_EQ(shape("self_attn.v_proj.lora_B"), (std::vector<int64_t>{20, 3}));
  EXPECT_EQ(shape("mlp.down_proj.lora_A"), (std::vector<int64_t>{3, 56}));

  EXPECT_TRUE(is_adapter_directory(files.adapter));
  EXPECT_FALSE(is_adapter_directory(files.base));
  const Decoder loaded = load_decoder(files.adapter, at::kCPU, at::kDouble);
  EXPECT_TRUE(hidden_of(loaded).equal(hidden_of(files.decoder)));
  EXPECT_EQ(loaded.adapters()->options().targets, files.decoder.adapters()->options().targets);
}

TEST(AdapterFiles, WhatCannotBeDoneIsNamed) {
  const std::vector<std::pair<const char*, Json>> wrong = {
      {"peft_type", "IA3"},
      {"use_rslora", true},
      {"use_dora", true},
      {"fan_in_fan_out", true},
      {"bias", "all"},
      {"rank_pattern", Json{{"q_proj", 4}}},
      {"modules_to_save", Json{"lm_head"}},
      {"layers_to_transform", Json{0}},
      {"target_modules", "all-linear"},
      {"target_modules", Json{"q_proj", "lm_head"}},
      {"r", 0},
      {"lora_alpha", "high"}};
  for (const auto& [key, value] : wrong) {
    const Files files;
    Json config = files.config();
    config[key] = value;
    files.write_config(config);
    EXPECT_THAT(files.error(),
                AllOf(HasSubstr("adapter_config.json"), HasSubstr(fmt::format("\"{}\"", key))));
  }
}

TEST(AdapterFiles, WhatDoesNotFitIsNamed) {
  {
    const Files files;
    Json config = files.config();
    config["r"] = 4;
    files.write_config(config);
    EXPECT_THAT(files.error(), AllOf(HasSubstr("adapter_model.safetensors"),
                                     HasSubstr("has the shape [40, 3]"), HasSubstr("[40, 4]")));
  }
  {
    const Files files;
    Json config = files.config();
    config["target_modules"] = Json{"q_proj"};
    files.write_config(config);
    EXPECT_THAT(files.error(), HasSubstr("nothing in adapter_config.json accounts for"));
    config["target_modules"] = Json{"q_proj", "v_proj", "down_proj", "k_proj"};
    files.write_config(config);
    EXPECT_THAT(files.error(), HasSubstr("k_proj.lora_B.weight\" is missing"));
  }
  {
    const Files files;
    posix_file_system().remove(files.base);
    EXPECT_THAT(files.error(), AllOf(HasSubstr("base_model_name_or_path"), HasSubstr(files.base)));
  }
}

}  // namespace
}  // namespace treepo
