#include "train/training_query.h"

#include <utility>

#include "base/error.h"

namespace treepo {

TrainingQuery make_training_query(Problem problem, uint64_t id, uint64_t visit,
                                  const Tokenizer& tokenizer) {
  TrainingQuery query;
  query.id = id;
  query.visit = visit;
  query.prompt = problem.ids.empty() ? tokenizer.encode(problem.prompt, true) : problem.ids;
  if (query.prompt.empty()) {
    throw Error(fmt::format("{}: the prompt is empty and the tokenizer adds no token of its own",
                            problem.where),
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

}  // namespace treepo
