#include "train/training_query.h"

#include <string>
#include <utility>

#include "base/error.h"

namespace treepo {

namespace {

std::string name_of(const Problem& problem) {  // made problems lie in no file
  return problem.where.empty() ? fmt::format("problem \"{}\"", problem.id) : problem.where;
}

}  // namespace

TrainingQuery make_training_query(Problem problem, uint64_t id, uint64_t visit,
                                  const Tokenizer& tokenizer) {
  TrainingQuery query;
  query.id = id;
  query.visit = visit;
  query.prompt = problem.ids.empty() ? tokenizer.encode(problem.prompt, true) : problem.ids;
  if (query.prompt.empty()) {
    throw Error(fmt::format("{}: the prompt is empty and the tokenizer adds no token of its own",
                            name_of(problem)),
                "a model needs at least one token to go on from");
  }
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

void check_prompt(const TrainingQuery& query, const ModelConfig& model, int64_t longest_response) {
  for (const int32_t token : query.prompt) {
    if (token >= 0 && token < model.vocab_size) continue;
    throw Error(fmt::format("{}: token {} of the prompt is outside the model's vocabulary of {}",
                            name_of(query.problem), token, model.vocab_size),
                "the prompt's \"ids\", or the tokenizer, belong to another model");
  }
  if (std::ssize(query.prompt) + longest_response <= model.max_positions) return;
  throw Error(fmt::format("{}: a prompt of {} tokens and a response of up to {} exceed the model's "
                          "context of {}",
                          name_of(query.problem), query.prompt.size(), longest_response,
                          model.max_positions),
              "shorten the prompt, or lower stop.response_tokens, rollout.depth or "
              "rollout.segment_tokens");
}

}  // namespace treepo
