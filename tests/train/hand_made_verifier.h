#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "reward/verifier.h"

namespace treepo {

inline Verdict verdict(double score, bool correct = false, std::string reason = "made up") {
  Verdict made;
  made.score = score;
  made.correct = correct;
  made.reason = std::move(reason);
  return made;
}

inline Problem problem_of(const std::string& id, const std::string& prompt) {
  Problem problem;
  problem.id = id;
  problem.prompt = prompt;
  return problem;
}

// Says what a function of the test says; `index` counts the responses of one call.
class HandMadeVerifier : public Verifier {
 public:
  using Judge = std::function<Verdict(const Response&, size_t index)>;
  explicit HandMadeVerifier(Judge judge) : judge_(std::move(judge)) {}

  void check(const Problem&) const override {}

 private:
  std::vector<Verdict> judge(std::span<const Response> responses) override {
    std::vector<Verdict> verdicts;
    for (const Response& response : responses)
      verdicts.push_back(judge_(response, verdicts.size()));
    return verdicts;
  }

  Judge judge_;
};

}  // namespace treepo
