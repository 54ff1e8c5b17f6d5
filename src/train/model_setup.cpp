#include "train/model_setup.h"

#include <fmt/ranges.h>  // fmt::join

#include <algorithm>
#include <utility>

#include "base/activity.h"
#include "base/files.h"
#include "data/carry_task.h"
#include "model/adapter_files.h"
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

}  // namespace

ModelConfig fresh_carry_config(const ModelOptions& options) {
  return fresh_model_config(options, kCarryVocabularySize,
                            {.eos = kCarryEosId, .pad = kCarryPadId});
}

namespace {

LoadedModel fresh_carry_model(const ModelOptions& options, uint64_t seed,
                              const std::string& scratch_dir, const BeforeWeights& before_weights) {
  file_system().make_directories(scratch_dir);
  write_carry_tokenizer(scratch_dir);
  const ModelConfig config = fresh_carry_config(options);
  Tokenizer tokenizer = Tokenizer::load(scratch_dir);
  if (before_weights) before_weights(config, tokenizer, scratch_dir);
  return {fresh_decoder(config, options, seed), std::move(tokenizer), scratch_dir};
}

// The tokenizer, after all that can be checked without weights.
Tokenizer checked_tokenizer(const ModelConfig& config, const std::string& directory,
                            const BeforeWeights& before_weights) {
  Tokenizer tokenizer = Tokenizer::load(directory);
  check_fit(config, tokenizer, directory);
  if (before_weights) before_weights(config, tokenizer, directory);
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

ModelFolders model_folders(const std::string& path) {
  if (!is_adapter_directory(path)) return {.config = path, .tokenizer = path};
  const std::string base = adapter_base(path);
  return {.config = base,
          .tokenizer = file_system().exists(join_path(path, "tokenizer.json")) ? path : base};
}

LoadedModel load_model_directory(const ModelOptions& options, const BeforeWeights& before_weights) {
  if (options.path.empty()) {
    throw Error("no model is named", "give a Hugging Face directory: --model DIR");
  }
  const c10::Device device = parse_device(options.device);
  const ModelFolders folders = model_folders(options.path);
  const ModelConfig config = read_model_config(folders.config);
  Tokenizer tokenizer = checked_tokenizer(config, folders.tokenizer, before_weights);
  const Activity activity("load model");
  return {load_decoder(options.path, device, parse_dtype(options.dtype)), std::move(tokenizer),
          folders.tokenizer};
}

LoadedModel load_model(const ModelOptions& options, uint64_t seed, const std::string& scratch_dir,
                       const BeforeWeights& before_weights) {
  if (options.path.empty()) return fresh_carry_model(options, seed, scratch_dir, before_weights);
  if (!options.random_weights) return load_model_directory(options, before_weights);
  const ModelConfig config = read_model_config(options.path);
  Tokenizer tokenizer = checked_tokenizer(config, options.path, before_weights);
  return {fresh_decoder(config, options, seed), std::move(tokenizer), options.path};
}

namespace {

std::string describe(const LoraOptions& lora) {
  return fmt::format("lora.rank = {}, lora.alpha = {}, lora.targets = [{}]", lora.rank, lora.alpha,
                     fmt::join(lora.targets, ", "));
}

// A model.path that is an adapter goes on being trained as it is.
void check_same_adapters(const LoraOptions& wanted, const LoraOptions& found,
                         const std::string& path) {
  const auto sorted = [](std::vector<std::string> names) {
    std::sort(names.begin(), names.end());
    return names;
  };
  if (wanted.rank == found.rank && wanted.alpha == found.alpha &&
      sorted(wanted.targets) == sorted(found.targets))
    return;
  throw Error(fmt::format("{} is an adapter with {}; the run has {}", path, describe(found),
                          describe(wanted)),
              "set the same options, or merge it into its base first: treepo merge");
}

}  // namespace

LoadedModel load_run_model(const RunOptions& options, const std::string& scratch_dir,
                           const std::optional<std::string>& checkpoint,
                           const BeforeWeights& before_weights) {
  ModelOptions model = options.model;
  if (checkpoint) {
    model.path = *checkpoint;
    model.random_weights = false;
  }
  const auto seed = static_cast<uint64_t>(options.train.seed);
  LoadedModel loaded = load_model(model, seed, scratch_dir, before_weights);
  if (const Adapters* adapters = loaded.decoder.adapters())
    check_same_adapters(options.lora, adapters->options(), model.path);
  else if (options.lora.rank > 0)
    loaded.decoder.add_adapters(options.lora, model.path, seed);
  return loaded;
}

void keep_tokenizer(LoadedModel& model, const std::string& folder) {
  if (model.tokenizer_dir == folder) return;
  file_system().make_directories(folder);
  copy_tokenizer_files(model.tokenizer_dir, folder);
  model.tokenizer_dir = folder;
}

}  // namespace treepo
