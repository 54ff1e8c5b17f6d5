#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <utility>

#include "app/command_line.h"
#include "app/tiny_run.h"
#include "base/json.h"
#include "support/assets.h"

// Model directories as they arrive after a broken download or with what treepo does not run: one
// error that names the file and what is wrong with it, and nothing on standard output.

namespace treepo {
namespace {

using testing::HasSubstr;

Words short_sample(const TinyModelDirectory& model) {
  return Words{"sample", "--model", model.path(), "--prompts", "-"} +
         sets({"rollout.depth=2", "rollout.segment_tokens=4"});
}

const std::string kPrompt = "{\"prompt\":\"1:\"}\n";

// Each is put together, then all are run at once.
class BrokenModel : public testing::Test {
 protected:
  void expect_error(std::unique_ptr<TinyModelDirectory> model, Words messages) {
    messages.push_back(model->path());
    running_.push_back(std::make_unique<RunningProgram>(short_sample(*model), kPrompt));
    models_.push_back(std::move(model));
    messages_.push_back(std::move(messages));
  }

  void expect_config_error(const std::function<void(Json&)>& change, const Words& messages);

  void TearDown() override {
    for (size_t i = 0; i < running_.size(); ++i) {
      const ProgramResult result = running_[i]->wait();
      EXPECT_EQ(result.code, kExitError);
      EXPECT_EQ(result.out, "");
      for (const std::string& message : messages_[i]) EXPECT_THAT(result.err, HasSubstr(message));
    }
  }

 private:
  std::vector<std::unique_ptr<TinyModelDirectory>> models_;
  std::vector<std::unique_ptr<RunningProgram>> running_;
  std::vector<Words> messages_;
};

void change_json(const std::string& path, const std::function<void(Json&)>& change) {
  Json json = Json::parse(read_text(path));
  change(json);
  write_text(path, json.dump());
}

void BrokenModel::expect_config_error(const std::function<void(Json&)>& change,
                                      const Words& messages) {
  auto model = std::make_unique<TinyModelDirectory>();
  const std::string config = *model / "config.json";
  change_json(config, change);
  expect_error(std::move(model), Words{config} + messages);
}

TEST_F(BrokenModel, TruncatedWeights) {
  const uint64_t size = std::filesystem::file_size(TinyModelDirectory() / "model.safetensors");
  for (const uint64_t left : {size - 1, uint64_t{100}, uint64_t{0}}) {
    auto model = std::make_unique<TinyModelDirectory>();
    std::filesystem::resize_file(*model / "model.safetensors", left);
    expect_error(std::move(model),
                 {"model.safetensors", std::to_string(left), "damaged or incomplete"});
  }
}

TEST_F(BrokenModel, HeaderLengthsThatCannotBe) {
  for (const uint64_t length : {uint64_t{1} << 20, ~uint64_t{0}}) {
    auto model = std::make_unique<TinyModelDirectory>();
    std::string bytes = read_text(*model / "model.safetensors");
    std::memcpy(bytes.data(), &length, sizeof(length));
    write_text(*model / "model.safetensors", bytes);
    expect_error(std::move(model),
                 {"model.safetensors", std::to_string(length), "damaged or incomplete"});
  }
  for (const uint64_t length : {0, 2000}) {
    auto model = std::make_unique<TinyModelDirectory>();
    std::string bytes = read_text(*model / "model.safetensors");
    std::memcpy(bytes.data(), &length, sizeof(length));
    write_text(*model / "model.safetensors", bytes);
    expect_error(std::move(model), {"model.safetensors (header"});
  }
}

TEST_F(BrokenModel, WeightsThatAreNotNumbers) {
  const TinyModelDirectory model;
  std::string bytes = read_text(model / "model.safetensors");
  std::fill(bytes.end() - 64, bytes.end(), '\xff');  // the last tensor: NaN
  write_text(model / "model.safetensors", bytes);
  const ProgramResult result = run_program(short_sample(model), kPrompt);
  EXPECT_EQ(result.code, kExitError);
  EXPECT_THAT(result.err, HasSubstr("the weights hold NaN or infinite values"));
}

TEST_F(BrokenModel, ConfigurationWithoutAKey) {
  for (const char* key : {"model_type", "hidden_size", "max_position_embeddings"}) {
    expect_config_error([&](Json& config) { config.erase(key); },
                        {std::string("\"") + key + "\" is missing"});
  }
  expect_config_error([](Json& config) { config = Json::object(); }, {"is missing"});
}

TEST_F(BrokenModel, ConfigurationThatDoesNotFit) {
  expect_config_error([](Json& c) { c["hidden_size"] = -16; }, {"\"hidden_size\"", "-16"});
  expect_config_error([](Json& c) { c["hidden_size"] = "16"; }, {"must be an integer"});
  expect_config_error([](Json& c) { c["hidden_size"] = int64_t{1} << 40; }, {"1099511627776"});
  auto model = std::make_unique<TinyModelDirectory>();
  change_json(*model / "config.json", [](Json& c) { c["intermediate_size"] = 33; });
  expect_error(std::move(model), {"model.safetensors", "gate_proj", "[32, 16]", "[33, 16]"});
}

TEST_F(BrokenModel, ConfigurationThatIsNoJson) {
  auto model = std::make_unique<TinyModelDirectory>();
  write_text(*model / "config.json", "{\"hidden_size\": 16");
  expect_error(std::move(model), {"config.json", "not valid JSON"});
}

TEST_F(BrokenModel, FilesThatAreMissing) {
  for (const char* file : {"config.json", "model.safetensors", "tokenizer.json"}) {
    auto model = std::make_unique<TinyModelDirectory>();
    std::filesystem::remove(*model / file);
    expect_error(std::move(model), {file});
  }
}

TEST_F(BrokenModel, UnknownRopeType) {
  expect_config_error(
      [](Json& c) {
        c["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 2.0}};
      },
      {"\"rope_scaling\"", "rope type \"yarn\" is not supported"});
  expect_config_error(
      [](Json& c) {
        c["rope_parameters"] = {{"rope_type", "spiral"}, {"rope_theta", 1e4}};
      },
      {"\"rope_parameters\"", "rope type \"spiral\" is not supported"});
}

TEST_F(BrokenModel, SlidingWindowInUse) {
  const auto with_window = [](int64_t window) {
    return [window](Json& config) {
      config["model_type"] = "mistral";
      config["architectures"] = {"MistralForCausalLM"};
      config["sliding_window"] = window;
    };
  };
  expect_config_error(with_window(16), {"\"sliding_window\"", "not supported"});
  // As long as the context, or longer: never in use.
  const TinyModelDirectory model;
  change_json(model / "config.json", with_window(128));
  EXPECT_EQ(run_program(short_sample(model), kPrompt).code, kExitSuccess);
}

TEST_F(BrokenModel, ATokenizerWithMoreTokensThanTheModel) {
  auto model = std::make_unique<TinyModelDirectory>();
  change_json(*model / "tokenizer.json", [](Json& tokenizer) {
    Json token = tokenizer["added_tokens"].back();
    token["id"] = 24;
    token["content"] = "<more>";
    tokenizer["added_tokens"].push_back(token);
  });
  expect_error(std::move(model), {"25 tokens", "24 rows"});
}

TEST_F(BrokenModel, AnArchitectureThatIsNotSupported) {
  const std::string folder = TREEPO_ASSETS "/oracles/hf-models/qwen3_moe";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << no_assets(folder);
  for (const Words& command :
       {Words{"sample", "--prompts", "-"}, {"selfcheck", "--write", "/dev/null"}}) {
    const ProgramResult result =
        run_program(command + Words{"--model", folder}, "{\"prompt\":\"1:\"}\n");
    EXPECT_EQ(result.code, kExitError);
    EXPECT_THAT(result.err, HasSubstr("the architecture \"qwen3_moe\""));
  }
}

}  // namespace
}  // namespace treepo
