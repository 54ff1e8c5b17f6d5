#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/options.h"
#include "data/load_sources.h"   // DataContext
#include "data/prompt_writer.h"  // prompt_ids
#include "model/model_config.h"
#include "reward/problem.h"
#include "reward/verifier.h"
#include "text/tokenizer.h"

namespace treepo {

// A problem with its prompt as token ids, ready for rollout.
struct TrainingQuery {
  uint64_t id = 0;     // stable number of the problem: names its stream of random numbers
  uint64_t visit = 0;  // how many times it was rolled out before: met again, it draws anew
  Problem problem;
  std::vector<int32_t> prompt;    // prompt_ids of the problem
  bool seen_in_training = false;  // of a test problem: its prompt occurs in training too
};

// Throws Error where the prompt has no token at all.
TrainingQuery make_training_query(Problem problem, uint64_t id, uint64_t visit,
                                  const Tokenizer& tokenizer);

// Problems numbered from 0, each asked for the first time.
std::vector<TrainingQuery> make_training_queries(std::vector<Problem> problems,
                                                 const Tokenizer& tokenizer);

// Throws Error, naming the problem's row, where the prompt holds a token that the model does not
// have, or leaves no room in its context for a response of longest_response tokens.
void check_prompt(const Problem& problem, std::span<const int32_t> prompt, const ModelConfig& model,
                  int64_t longest_response);
inline void check_prompt(const TrainingQuery& query, const ModelConfig& model,
                         int64_t longest_response) {
  check_prompt(query.problem, query.prompt, model, longest_response);
}

// What problems that are answered with these options must be like: the verifier takes them, and
// check_prompt their prompts. All that is passed must outlive it.
DataContext data_context(const RunOptions& options, const Verifier& verifier,
                         const ModelConfig& model, const Tokenizer& tokenizer,
                         const std::string& tokenizer_dir);

}  // namespace treepo
