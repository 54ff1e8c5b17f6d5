#include "train/model_setup.h"

#include "base/files.h"
#include "data/carry_task.h"
#include "model/device.h"

namespace treepo {

namespace {

void check_fit(const LoadedModel& model, const std::string& where) {
  const int64_t tokens = model.tokenizer.vocab_size(), rows = model.decoder.config().vocab_size;
  if (tokens > rows) {
    throw Error(fmt::format("{}: the tokenizer has {} tokens, the model's embedding {} rows", where,
                            tokens, rows),
                "tokenizer.json and config.json belong to different models");
  }
}

Decoder fresh_decoder(const ModelConfig& config, const ModelOptions& options, uint64_t seed) {
  return Decoder::random(config, seed, parse_device(options.device), parse_dtype(options.dtype));
}

LoadedModel fresh_carry_model(const ModelOptions& options, uint64_t seed,
                              const std::string& scratch_dir) {
  file_system().make_directories(scratch_dir);
  write_carry_tokenizer(scratch_dir);
  const ModelConfig config =
      fresh_model_config(options, kCarryVocabularySize, {.eos = kCarryEosId, .pad = kCarryPadId});
  return {fresh_decoder(config, options, seed), Tokenizer::load(scratch_dir), scratch_dir};
}

}  // namespace

LoadedModel load_model_directory(const ModelOptions& options) {
  if (options.path.empty()) {
    throw Error("no model is named", "give a Hugging Face directory: --model DIR");
  }
  LoadedModel model{
      Decoder::load(options.path, parse_device(options.device), parse_dtype(options.dtype)),
      Tokenizer::load(options.path), options.path};
  check_fit(model, options.path);
  return model;
}

LoadedModel load_model(const ModelOptions& options, uint64_t seed, const std::string& scratch_dir) {
  if (options.path.empty()) return fresh_carry_model(options, seed, scratch_dir);
  if (!options.random_weights) return load_model_directory(options);
  LoadedModel model{fresh_decoder(read_model_config(options.path), options, seed),
                    Tokenizer::load(options.path), options.path};
  check_fit(model, options.path);
  return model;
}

}  // namespace treepo
