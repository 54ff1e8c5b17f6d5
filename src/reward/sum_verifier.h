#pragma once

#include <memory>
#include <string>
#include <vector>

#include "reward/reward_spec.h"
#include "reward/verifier.h"

namespace treepo {

// What a part's score is.
enum class Judges {
  answer,  // right or wrong: a wrong one is worth options.failure
  value,   // a degree, which may still say what is right (digits, python)
  form,    // how a response is written: accuracy does not depend on it
};

struct SumPart {
  RewardPart spec;
  Judges judges = Judges::answer;
  std::unique_ptr<Verifier> verifier;
};

// The reward of several parts: the sum of weight × score, but `failure` where a gate is not passed.
// A part whose response could not be judged counts `failure`, too. Correct is a response whose
// answer is right by all parts that judge it (by all parts, where none does) and that passes all
// gates.
class SumVerifier : public Verifier {
 public:
  SumVerifier(std::vector<SumPart> parts, double failure);

  void check(const Problem& problem) const override;
  std::vector<std::string> part_names() const override;
  std::vector<bool> equivalent(std::span<const AnswerPair> pairs) override;

 private:
  Pending begin(std::span<const Response> responses) override;

  std::vector<SumPart> parts_;
  double failure_;
};

}  // namespace treepo
