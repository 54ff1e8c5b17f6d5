#include "train/training_query.h"

#include <string>
#include <utility>

#include "base/error.h"

namespace treepo {

TrainingQuery make_training_query(Problem problem, uint64_t id, uint64_t visit,
                                  const Tokenizer& tokenizer) {
  TrainingQuery query;
  query.id = id;
  query.visit = visit;
  query.prompt = prompt_ids(problem, tokenizer);
  query.problem = std::move(problem);
  return query;
}

std::vector<TrainingQuery> make_training_queries(std::vector<Problem> problems,
                                                 const Tokenizer& tokenizer) {
  std::vector<TrainingQuery> queries;
  queries.reserve(problems.size());
  for (Problem& problem : problems) {
    queries.push_back(make_training_query(std::move(problem), queries.size(), 0, tokenizer));
  }
  return queries;
}

void check_prompt(const Problem& problem, std::span<const int32_t> prompt, const ModelConfig& model,
                  int64_t longest_response) {
  for (const int32_t token : prompt) {
    if (token >= 0 && token < model.vocab_size) continue;
    throw Error(fmt::format("{}: token {} of the prompt is outside the model's vocabulary of {}",
                            place_of(problem), token, model.vocab_size),
                "the prompt's \"ids\", or the tokenizer, belong to another model");
  }
  if (std::ssize(prompt) + longest_response <= model.max_positions) return;
  throw Error(fmt::format("{}: a prompt of {} tokens and a response of up to {} exceed the model's "
                          "context of {}",
                          place_of(problem), prompt.size(), longest_response, model.max_positions),
              "shorten the prompt, set data.max_prompt_tokens, or lower stop.response_tokens, "
              "rollout.depth or "
              "rollout.segment_tokens");
}

DataContext data_context(const RunOptions& options, const Verifier& verifier,
                         const ModelConfig& model, const Tokenizer& tokenizer,
                         const std::string& tokenizer_dir) {
  return {.tokenizer = &tokenizer,
          .model_directory = tokenizer_dir,
          .check = [&verifier, &model, longest = longest_response(options.rollout, options.stop)](
                       const Problem& problem, std::span<const int32_t> prompt) {
            verifier.check(problem);
            check_prompt(problem, prompt, model, longest);
          }};
}

}  // namespace treepo
