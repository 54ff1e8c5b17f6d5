#pragma once

#include <memory>
#include <string>
#include <utility>

#include "reward/verifier.h"

namespace treepo {

inline Problem problem_with_answer(std::optional<std::string> answer) {
  Problem problem;
  problem.id = "p7";
  problem.prompt = "?";
  problem.answer = std::move(answer);
  problem.where = "data.jsonl, line 7";
  return problem;
}

inline RewardOptions reward_kind(const std::string& kind) {
  RewardOptions options;
  options.kind = kind;
  return options;
}

inline RewardOptions reward_parts(std::vector<std::string> parts, double failure = 0) {
  RewardOptions options;
  options.kind = "parts";
  options.parts = std::move(parts);
  options.failure = failure;
  return options;
}

// One response that ends with EOS.
inline Verdict judge_one(Verifier& verifier, const Problem& problem, std::string_view text) {
  const Response response{&problem, text, true};
  return verifier.verify(std::span(&response, 1)).at(0);
}

inline Verdict judge_one(const RewardOptions& options, const std::string& answer,
                         std::string_view text) {
  const Problem problem = problem_with_answer(answer);
  const auto verifier = make_verifier(options);
  verifier->check(problem);
  return judge_one(*verifier, problem, text);
}

}  // namespace treepo
