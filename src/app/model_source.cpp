#include "app/model_source.h"

#include <fmt/ranges.h>  // fmt::join

#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "data/load_sources.h"
#include "model/device.h"
#include "model/named_shapes.h"
#include "text/tokenizer.h"
#include "train/model_setup.h"  // check_context

namespace treepo {

void ModelSource::add_to(CLI::App& command) {
  command.add_option(
      "--random-model", random_model,
      fmt::format("a shape with random weights: {}", fmt::join(model_shape_names(), ", ")));
  command.add_option(
      "--prompts", prompts,
      "JSON lines {\"prompt\" or \"ids\", \"answer\"?}; without it prompts are drawn");
  command.add_option("--queries", num_queries, "how many prompts to draw")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command.add_option("--prompt-tokens", prompt_tokens, "length of a drawn prompt")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
}

void ModelSource::check(const RunOptions& options) const {
  if (random_model.empty() == options.model.path.empty())
    throw CLI::RequiredError("one of --model and --random-model");
  if (!prompts.empty() && options.model.path.empty())
    throw Error("--prompts needs the tokenizer of a model", "give --model DIR");
}

ModelConfig ModelSource::config(const RunOptions& options) const {
  ModelConfig config = random_model.empty() ? read_model_config(options.model.path)
                                            : named_model_config(random_model);
  check_context(config, options);
  return config;
}

std::vector<TrainingQuery> ModelSource::queries(const RunOptions& options,
                                                const ModelConfig& config) const {
  std::vector<TrainingQuery> queries;
  if (!prompts.empty()) {
    const Tokenizer tokenizer = Tokenizer::load(options.model.path);
    queries = make_training_queries(
        load_problems(
            prompts, options.data, options.prompt,
            {.tokenizer = &tokenizer, .model_directory = options.model.path, .check = {}}),
        tokenizer);
  } else {
    queries.resize(static_cast<size_t>(num_queries));
    for (size_t i = 0; i < queries.size(); ++i) {
      queries[i].id = i;
      queries[i].problem.id = fmt::format("drawn {}", i);
      const RandomStream random(1, Purpose::generate, i);
      for (int64_t at = 0; at < prompt_tokens; ++at)
        queries[i].prompt.push_back(static_cast<int32_t>(
            random.integer(0, config.vocab_size - 1, static_cast<uint32_t>(at), 0)));
    }
  }
  for (const TrainingQuery& query : queries)
    check_prompt(query, config, longest_response(options.rollout, options.stop));
  return queries;
}

Decoder ModelSource::load(const RunOptions& options, const ModelConfig& config) const {
  const c10::Device device = parse_device(options.model.device);
  const c10::ScalarType dtype = parse_dtype(options.model.dtype);
  if (random_model.empty()) return Decoder::load(options.model.path, device, dtype);
  return Decoder::random(config, 1, device, dtype);
}

}  // namespace treepo
