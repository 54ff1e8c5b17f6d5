#include "train/model_setup.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/files.h"
#include "support/expect_error.h"
#include "tiny_model.h"

namespace treepo {
namespace {

using testing::HasSubstr;

ModelOptions from_directory(const TinyModel& model) {
  ModelOptions options;
  options.path = model.directory.path();
  options.dtype = "float64";
  return options;
}

TEST(ModelSetup, LoadsWeightsAndTokenizer) {
  const TinyModel model;
  const LoadedModel loaded = load_model(from_directory(model), 9, "unused");
  EXPECT_TRUE(at::equal(loaded.decoder.parameters().values(), model.decoder.parameters().values()));
  EXPECT_EQ(loaded.tokenizer.encode("1+2", true), model.encode("1+2"));
  EXPECT_EQ(loaded.tokenizer_dir, model.directory.path());
  EXPECT_EQ(load_model_directory(from_directory(model)).tokenizer_dir, model.directory.path());
}

TEST(ModelSetup, FreshWeightsFollowTheSeed) {
  const TinyModel model;
  ModelOptions options = from_directory(model);
  options.random_weights = true;
  const auto values = [&](uint64_t seed) {
    return load_model(options, seed, "unused").decoder.parameters().values().clone();
  };
  EXPECT_TRUE(at::equal(values(4), values(4)));
  EXPECT_FALSE(at::equal(values(4), values(5)));
  EXPECT_FALSE(at::equal(values(4), model.decoder.parameters().values()));
}

TEST(ModelSetup, AFreshModelBringsItsTokenizer) {
  const TemporaryDirectory directory;
  ModelOptions options;
  options.hidden_size = 16;
  options.num_layers = 1;
  const LoadedModel loaded = load_model(options, 1, directory / "tokenizer");
  EXPECT_EQ(loaded.decoder.config().vocab_size, kCarryVocabularySize);
  EXPECT_EQ(loaded.decoder.config().eos_token_ids, std::vector<int32_t>{kCarryEosId});
  EXPECT_EQ(loaded.tokenizer.vocab_size(), kCarryVocabularySize);
  EXPECT_TRUE(posix_file_system().exists(directory / "tokenizer/tokenizer.json"));
  EXPECT_THAT(error_of([&] { load_model_directory(options); }), HasSubstr("no model is named"));
}

TEST(ModelSetup, ATokenizerOfAnotherModelIsNamed) {
  const TinyModel model;
  Json tokenizer = read_json_file(model.directory / "tokenizer.json");
  tokenizer["model"]["vocab"]["x"] = 24;
  write_file_atomically(model.directory / "tokenizer.json", tokenizer.dump());
  const std::string expected = "the tokenizer has 25 tokens, the model's embedding 24 rows";
  EXPECT_THAT(error_of([&] { load_model(from_directory(model), 1, "unused"); }),
              HasSubstr(expected));
  EXPECT_THAT(error_of([&] { load_model_directory(from_directory(model)); }), HasSubstr(expected));
}

}  // namespace
}  // namespace treepo
