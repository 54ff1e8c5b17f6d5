// The decoder's weights: flat storage, fresh values, loading, saving, and files that do not fit.

#include "model/decoder.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <filesystem>

#include "model/device.h"
#include "model/packed_forward.h"
#include "model/safetensors.h"
#include "random_tree.h"
#include "support/expect_error.h"
#include "support/faulty_file_system.h"
#include "support/temporary_directory.h"
#include "tiny_models.h"

namespace treepo {
namespace {

at::Tensor logits_of(const Decoder& decoder) {
  const at::NoGradGuard no_gradients;
  const PackedSequence packed = random_trees(3, 60, 20, decoder.config().vocab_size).packed;
  return packed_hidden(decoder, packed).mm(decoder.head_weight().t());
}

// All optional parts at once: biases everywhere, llama3 scaling with all three bands in use.
ModelConfig biased_llama() {
  Json config = tiny_config("llama").config_json;
  config["attention_bias"] = config["mlp_bias"] = true;
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 64}};
  return parse_model_config(config, {}, "config", "generation");
}

TEST(ParameterStore, SlicesAreViewsOfOneTensor) {
  ParameterStore store(at::kCPU, at::kFloat);
  const int64_t fused = store.add({7, 3}, {{"q", 4}, {"k", 2}, {"v", 1}});
  const int64_t norm = store.add({5}, {{"norm", 5}});
  store.allocate();
  EXPECT_EQ(store.count(), 26);
  EXPECT_EQ(store.values().numel(), 48);  // 21 and 5, each rounded up to 16
  const auto named = store.named_tensors();
  ASSERT_EQ(named.size(), 4u);
  EXPECT_EQ(named[1].first, "k");
  named[1].second.fill_(2);
  const at::NoGradGuard no_gradients;
  EXPECT_EQ(store.tensor(fused).sum().item<float>(), 12);
  EXPECT_EQ(store.values().sum().item<float>(), 12);
  EXPECT_EQ(store.tensor(fused).select(0, 4).sum().item<float>(), 6);
  EXPECT_EQ(store.tensor(norm).sum().item<float>(), 0);
  EXPECT_EQ(store.named_shapes()[1].second, (std::vector<int64_t>{2, 3}));
}

TEST(ParameterStore, GradientsAccumulateInPlace) {
  ParameterStore store(at::kCPU, at::kDouble);
  const int64_t a = store.add({2, 3}, {{"a", 2}}), b = store.add({4}, {{"b", 4}});
  store.allocate();
  store.enable_gradients();
  const void* before = store.gradients().data_ptr();
  for (int repeat = 1; repeat <= 2; ++repeat) {
    (store.tensor(a).sum() * 3 + store.tensor(b).sum()).backward();
    EXPECT_EQ(store.named_gradients()[0].second.sum().item<double>(), 18 * repeat);
    EXPECT_EQ(store.gradients().sum().item<double>(), 22 * repeat);
  }
  store.enable_gradients();  // keeps what is there
  EXPECT_EQ(store.gradients().data_ptr(), before);
  EXPECT_EQ(store.gradients().sum().item<double>(), 44);
  store.zero_gradients();
  EXPECT_EQ(store.tensor(a).grad().abs().sum().item<double>(), 0);
}

TEST(Decoder, FreshWeightsDependOnTheSeedAlone) {
  const ModelConfig config = tiny_config("qwen3");
  const Decoder a = Decoder::random(config, 5, at::kCPU, at::kDouble);
  at::manual_seed(99);
  const Decoder b = Decoder::random(config, 5, at::kCPU, at::kFloat);
  const Decoder c = Decoder::random(config, 6, at::kCPU, at::kDouble);
  EXPECT_TRUE(at::equal(a.parameters().named_tensors()[0].second.to(at::kFloat),
                        b.parameters().named_tensors()[0].second));
  for (const auto& [name, tensor] : a.parameters().named_tensors()) {
    if (name.ends_with("norm.weight")) {
      EXPECT_TRUE(at::equal(tensor, at::ones_like(tensor))) << name;
    } else {  // 2,000 draws or so: the spread within 15 %, the mean within 5 of its deviations
      EXPECT_NEAR(tensor.std().item<double>(), 0.2, 0.03) << name;
      EXPECT_NEAR(tensor.mean().item<double>(), 0, 1.0 / std::sqrt(tensor.numel())) << name;
    }
  }
  EXPECT_FALSE(at::equal(a.parameters().values(), c.parameters().values()));
}

TEST(Decoder, SavedModelGivesTheSameLogitsBitByBit) {
  for (const ModelConfig& config : {tiny_config("llama"), tiny_config("qwen2"),
                                    tiny_config("qwen3"), tiny_config("mistral"), biased_llama()}) {
    const Decoder decoder = Decoder::random(config, 1, at::kCPU, at::kFloat);
    for (const uint64_t shard_bytes : {uint64_t{5'000'000'000}, uint64_t{20'000}}) {
      const TemporaryDirectory directory;
      decoder.save(directory.path(), at::kFloat, shard_bytes);
      const Decoder again = Decoder::load(directory.path(), at::kCPU, at::kFloat);
      EXPECT_TRUE(at::equal(logits_of(again), logits_of(decoder))) << config.model_type;
      EXPECT_EQ(again.config().eos_token_ids, config.eos_token_ids);
      EXPECT_EQ(again.config().dtype, "float32");
      Json saved = again.config().config_json, source = config.config_json;
      saved.erase("torch_dtype");
      EXPECT_EQ(saved, source);
    }
  }
}

TEST(Decoder, SavesInTheDtypeAskedFor) {
  const Decoder decoder = Decoder::random(tiny_config("llama"), 1, at::kCPU, at::kFloat);
  const TemporaryDirectory directory;
  decoder.save(directory.path(), at::kBFloat16);
  EXPECT_EQ(CheckpointReader(directory.path()).read("model.norm.weight").scalar_type(),
            at::kBFloat16);
  EXPECT_EQ(read_model_config(directory.path()).dtype, "bfloat16");
  const Decoder again = Decoder::load(directory.path(), at::kCPU, at::kFloat);
  EXPECT_TRUE(at::equal(again.parameters().values(),
                        decoder.parameters().values().to(at::kBFloat16).to(at::kFloat)));
}

class DecoderFiles : public testing::Test {
 protected:
  DecoderFiles() {
    const Decoder decoder = Decoder::random(tiny_config("mistral"), 1, at::kCPU, at::kFloat);
    decoder.save(directory_.path(), at::kFloat);
    const CheckpointReader reader(directory_.path());
    for (const std::string& name : reader.names()) tensors_.emplace_back(name, reader.read(name));
  }

  std::string error_with(const std::vector<NamedTensor>& tensors) const {
    write_safetensors(directory_ / "model.safetensors", tensors);
    return error_of([&] { Decoder::load(directory_.path(), at::kCPU, at::kFloat); });
  }

  NamedTensor& find(const std::string& name) {
    for (NamedTensor& tensor : tensors_)
      if (tensor.first == name) return tensor;
    throw std::logic_error(name);
  }

  TemporaryDirectory directory_;
  std::vector<NamedTensor> tensors_;
};

TEST_F(DecoderFiles, MissingWeightIsNamed) {
  const std::string name = "model.layers.1.self_attn.k_proj.weight";
  std::erase_if(tensors_, [&](const NamedTensor& tensor) { return tensor.first == name; });
  const std::string message = error_with(tensors_);
  EXPECT_NE(message.find(name), std::string::npos) << message;
  EXPECT_NE(message.find("model.safetensors"), std::string::npos) << message;
}

TEST_F(DecoderFiles, MisshapenWeightIsNamed) {
  at::Tensor& tensor = find("model.layers.0.mlp.up_proj.weight").second;
  tensor = tensor.t().contiguous();
  const std::string message = error_with(tensors_);
  EXPECT_NE(message.find("mlp.up_proj.weight\" has the shape [40, 56]"), std::string::npos)
      << message;
  EXPECT_NE(message.find("[56, 40]"), std::string::npos) << message;
}

TEST_F(DecoderFiles, UnexpectedWeightIsNamed) {
  tensors_.emplace_back("model.layers.0.self_attn.q_proj.bias", at::ones({40}));
  EXPECT_NE(error_with(tensors_).find("q_proj.bias"), std::string::npos);
}

TEST_F(DecoderFiles, IntegerWeightIsNamed) {
  find("model.norm.weight").second = at::ones({40}, at::kLong);
  EXPECT_NE(error_with(tensors_).find("model.norm.weight"), std::string::npos);
}

TEST_F(DecoderFiles, WhatOldCheckpointsAddIsIgnored) {
  tensors_.emplace_back("model.layers.0.self_attn.rotary_emb.inv_freq", at::ones({5}));
  EXPECT_EQ(error_with(tensors_), "(no error was thrown)");
}

// A config that asks for terabytes is refused by the shapes in the file, before any memory is
// taken.
TEST_F(DecoderFiles, AbsurdSizesFailBeforeMemoryIsTaken) {
  Json config = read_json_file(directory_ / "config.json");
  config["vocab_size"] = config["hidden_size"] = config["intermediate_size"] = 4'000'000;
  config["num_hidden_layers"] = 4000;
  write_file_atomically(directory_ / "config.json", config.dump());
  EXPECT_NE(error_with(tensors_).find("has the shape"), std::string::npos);
}

TEST_F(DecoderFiles, TokenizerFilesAreCopied) {
  const TemporaryDirectory to;
  write_file_atomically(directory_ / "tokenizer.json", "{\"a\": 1}");
  write_file_atomically(directory_ / "chat_template.jinja", "x");
  copy_tokenizer_files(directory_.path(), to.path());
  EXPECT_EQ(read_file(to / "tokenizer.json"), "{\"a\": 1}");
  EXPECT_EQ(file_system().list(to.path()).size(), 2u);
}

// A disk that is full from the n-th call on: an Error each time, and the old weights stay readable.
TEST_F(DecoderFiles, FullDiskWhileSavingLeavesTheOldWeights) {
  const Decoder decoder = Decoder::load(directory_.path(), at::kCPU, at::kFloat);
  Decoder changed = Decoder::random(tiny_config("mistral"), 2, at::kCPU, at::kFloat);
  int64_t call = 1;
  for (;; ++call) {
    FaultyFileSystem faulty;
    faulty.fail_from(call, ENOSPC);
    const ScopedFileSystem scope(faulty);
    try {
      changed.save(directory_.path(), at::kFloat);
      break;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(directory_.path()), std::string::npos);
    }
    const Decoder left = Decoder::load(directory_.path(), at::kCPU, at::kFloat);
    EXPECT_TRUE(at::equal(left.parameters().values(), decoder.parameters().values()) ||
                at::equal(left.parameters().values(), changed.parameters().values()));
  }
  EXPECT_GT(call, 3);
}

TEST(Decoder, LinearRopeScalingStretchesPositions) {
  Json config = tiny_config("llama").config_json;
  config["num_hidden_layers"] = 1;
  config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 4.0}};
  const Decoder scaled =
      Decoder::random(parse_model_config(config, {}, "c", "g"), 1, at::kCPU, at::kDouble);
  config["rope_scaling"] = nullptr;
  const Decoder plain =
      Decoder::random(parse_model_config(config, {}, "c", "g"), 1, at::kCPU, at::kDouble);
  // Positions 0, 4, 8, … of the scaled model turn as 0, 1, 2, … of the plain one.
  class Catch : public AttentionLayer {
   public:
    at::Tensor attend(int64_t, const at::Tensor& qkv) override {
      seen = qkv;
      return qkv.narrow(1, 0, 4).reshape({qkv.size(0), -1});
    }
    at::Tensor seen;
  } wide, narrow;
  const at::NoGradGuard no_gradients;
  const at::Tensor tokens = at::arange(10), positions = at::arange(10);
  scaled.hidden(tokens, positions * 4, wide);
  plain.hidden(tokens, positions, narrow);
  EXPECT_LT((wide.seen - narrow.seen).abs().max().item<double>(), 1e-14);
}

TEST(Device, NamesAndDtypes) {
  EXPECT_TRUE(parse_device("cpu").is_cpu());
  for (const char* bad : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda0", "cpu:0"})
    EXPECT_NE(error_of([&] { parse_device(bad); }).find("is no device"), std::string::npos) << bad;
  for (const char* name : {"float32", "float64", "bfloat16", "float16"})
    EXPECT_EQ(dtype_name(parse_dtype(name)), name);
  EXPECT_NE(error_of([] { parse_dtype("int8"); }).find("int8"), std::string::npos);
}

// No libtreepo_cuda.so lies beside the test program.
TEST(Device, CudaWithoutItsLibraryIsOneClearError) {
  const std::string message = error_of([] { parse_device("cuda"); });
  EXPECT_NE(message.find("libtreepo_cuda.so"), std::string::npos) << message;
}

}  // namespace
}  // namespace treepo
