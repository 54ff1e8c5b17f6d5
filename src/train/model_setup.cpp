#include "train/model_setup.h"

#include <utility>

#include "base/files.h"
#include "data/carry_task.h"
#include "model/device.h"

namespace treepo {

namespace {

void check_fit(const ModelConfig& config, const Tokenizer& tokenizer, const std::string& where) {
  const int64_t tokens = tokenizer.vocab_size(), rows = config.vocab_size;
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
                              const std::string& scratch_dir, const BeforeWeights& before_weights) {
  file_system().make_directories(scratch_dir);
  write_carry_tokenizer(scratch_dir);
  const ModelConfig config =
      fresh_model_config(options, kCarryVocabularySize, {.eos = kCarryEosId, .pad = kCarryPadId});
  Tokenizer tokenizer = Tokenizer::load(scratch_dir);
  if (before_weights) before_weights(config, tokenizer);
  return {fresh_decoder(config, options, seed), std::move(tokenizer), scratch_dir};
}

// The tokenizer, after all that can be checked without weights.
Tokenizer checked_tokenizer(const ModelConfig& config, const std::string& directory,
                            const BeforeWeights& before_weights) {
  Tokenizer tokenizer = Tokenizer::load(directory);
  check_fit(config, tokenizer, directory);
  if (before_weights) before_weights(config, tokenizer);
  return tokenizer;
}

}  // namespace

void check_context(const ModelConfig& config, const RunOptions& options) {
  const int64_t response = longest_response(options.rollout, options.stop);
  if (response < config.max_positions) return;
  throw Error(
      fmt::format("the longest response leaves no room for a prompt in the model's context of {} "
                  "tokens (rollout.depth = {}, rollout.segment_tokens = {}, stop.response_tokens = "
                  "{})",
                  config.max_positions, options.rollout.depth, options.rollout.segment_tokens,
                  options.stop.response_tokens),
      "lower one of them: a response has at most rollout.depth × rollout.segment_tokens tokens, or "
      "stop.response_tokens where that is set");
}

LoadedModel load_model_directory(const ModelOptions& options, const BeforeWeights& before_weights) {
  if (options.path.empty()) {
    throw Error("no model is named", "give a Hugging Face directory: --model DIR");
  }
  const c10::Device device = parse_device(options.device);
  Tokenizer tokenizer =
      checked_tokenizer(read_model_config(options.path), options.path, before_weights);
  return {Decoder::load(options.path, device, parse_dtype(options.dtype)), std::move(tokenizer),
          options.path};
}

LoadedModel load_model(const ModelOptions& options, uint64_t seed, const std::string& scratch_dir,
                       const BeforeWeights& before_weights) {
  if (options.path.empty()) return fresh_carry_model(options, seed, scratch_dir, before_weights);
  if (!options.random_weights) return load_model_directory(options, before_weights);
  const ModelConfig config = read_model_config(options.path);
  Tokenizer tokenizer = checked_tokenizer(config, options.path, before_weights);
  return {fresh_decoder(config, options, seed), std::move(tokenizer), options.path};
}

LoadedModel load_run_model(const RunOptions& options, const std::string& scratch_dir,
                           const std::optional<std::string>& checkpoint,
                           const BeforeWeights& before_weights) {
  ModelOptions model = options.model;
  if (checkpoint) {
    model.path = *checkpoint;
    model.random_weights = false;
  }
  return load_model(model, static_cast<uint64_t>(options.train.seed), scratch_dir, before_weights);
}

void keep_tokenizer(LoadedModel& model, const std::string& folder) {
  if (model.tokenizer_dir == folder) return;
  file_system().make_directories(folder);
  copy_tokenizer_files(model.tokenizer_dir, folder);
  model.tokenizer_dir = folder;
}

}  // namespace treepo
