#include "app/model_source.h"

#include <fmt/ranges.h>  // fmt::join

#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "data/load_sources.h"
#include "model/adapter_files.h"
#include "model/device.h"
#include "model/named_shapes.h"
#include "train/model_setup.h"

namespace treepo {

void ModelSource::add_to(CLI::App& command) {
  command.add_option(
      "--random-model", random_model,
      fmt::format("a shape with random weights: {}", fmt::join(model_shape_names(), ", ")));
  command.add_option(
      "--prompts", prompts,
      "JSON lines {\"prompt\" or \"ids\", \"answer\"?}; without it prompts are drawn");
  command
      .add_option("--queries", num_queries, fmt::format("how many prompts to draw [{}]", kQueries))
      ->check(CLI::Range(1, 1 << 20));
  command
      .add_option("--prompt-tokens", prompt_tokens,
                  fmt::format("length of a drawn prompt [{}]", kPromptTokens))
      ->check(CLI::Range(1, 1 << 20));
}

void ModelSource::check(const RunOptions& options) const {
  if (random_model.empty() == options.model.path.empty())
    throw CLI::RequiredError("one of --model and --random-model");
}

ModelConfig ModelSource::config(const RunOptions& options) const {
  ModelConfig config = !random_model.empty() ? named_model_config(random_model)
                       : options.model.path.empty()
                           ? fresh_carry_config(options.model)
                           : read_model_config(model_folders(options.model.path).config);
  check_context(config, options);
  return config;
}

std::optional<Tokenizer> ModelSource::tokenizer(const RunOptions& options) const {
  if (options.model.path.empty()) return {};
  return Tokenizer::load(model_folders(options.model.path).tokenizer);
}

namespace {

std::vector<TrainingQuery> read_queries(const std::string& file, const RunOptions& options,
                                        const std::optional<Tokenizer>& tokenizer) {
  const std::string folder =
      options.model.path.empty() ? "" : model_folders(options.model.path).tokenizer;
  std::vector<Problem> problems = load_problems(
      file, options.data, options.prompt,
      {.tokenizer = tokenizer ? &*tokenizer : nullptr, .model_directory = folder, .check = {}});
  if (tokenizer) return make_training_queries(std::move(problems), *tokenizer);
  std::vector<TrainingQuery> queries;
  for (Problem& problem : problems) {
    if (problem.ids.empty())
      throw Error(fmt::format("{}: the prompt is a text, and a model with random weights has no "
                              "tokenizer",
                              place_of(problem)),
                  "give token ids, {\"ids\": [1, 2, 3]}, or a model that has one: --model DIR");
    TrainingQuery& query = queries.emplace_back();
    query.id = queries.size() - 1;
    query.prompt = problem.ids;
    query.problem = std::move(problem);
  }
  return queries;
}

std::vector<TrainingQuery> draw_queries(int64_t count, int64_t tokens, int64_t vocab_size) {
  std::vector<TrainingQuery> queries(static_cast<size_t>(count));
  for (size_t i = 0; i < queries.size(); ++i) {
    queries[i].id = i;
    queries[i].problem.id = fmt::format("drawn {}", i);
    const RandomStream random(1, Purpose::generate, i);
    for (int64_t at = 0; at < tokens; ++at)
      queries[i].prompt.push_back(
          static_cast<int32_t>(random.integer(0, vocab_size - 1, static_cast<uint32_t>(at), 0)));
  }
  return queries;
}

}  // namespace

std::vector<TrainingQuery> ModelSource::queries(const RunOptions& options,
                                                const ModelConfig& config) const {
  std::vector<TrainingQuery> queries =
      prompts.empty() ? draw_queries(num_queries.value_or(kQueries),
                                     prompt_tokens.value_or(kPromptTokens), config.vocab_size)
                      : read_queries(prompts, options, tokenizer(options));
  for (const TrainingQuery& query : queries)
    check_prompt(query, config, longest_response(options.rollout, options.stop));
  return queries;
}

Decoder ModelSource::load(const RunOptions& options, const ModelConfig& config) const {
  const c10::Device device = parse_device(options.model.device);
  const c10::ScalarType dtype = parse_dtype(options.model.dtype);
  if (random_model.empty() && !options.model.random_weights)
    return load_decoder(options.model.path, device, dtype);
  return Decoder::random(config, 1, device, dtype);
}

}  // namespace treepo
