#include "reward/sum_verifier.h"

#include <algorithm>

#include "base/error.h"

namespace treepo {

namespace {

struct SpecOfPart {
  RewardPart spec;
  Judges judges;
};

bool judges_answer(const SpecOfPart& part) {
  return part.judges != Judges::form && !part.spec.gate;
}

// A part's own score, with what a wrong or failed one is worth.
double part_score(const SpecOfPart& part, const Verdict& verdict, double failure) {
  if (verdict.failure != VerifierFailure::none) return failure;
  const bool wrong = part.judges == Judges::answer && !part.spec.gate && !verdict.correct;
  return wrong ? failure : verdict.score;
}

void add_part(Verdict& sum, const SpecOfPart& part, const Verdict& verdict, double failure,
              bool only) {
  const double score = part_score(part, verdict, failure);
  sum.parts.push_back(score);
  if (!part.spec.gate) sum.score += part.spec.weight * score;
  if (!sum.answer && judges_answer(part)) sum.answer = verdict.answer;
  if (sum.failure == VerifierFailure::none) sum.failure = verdict.failure;
  if (!sum.reason.empty()) sum.reason += "; ";
  sum.reason += only ? verdict.reason : part.spec.label + ": " + verdict.reason;
}

// `verdicts`: one for each part, of one response.
Verdict add_up(const std::vector<SpecOfPart>& parts, std::span<const Verdict> verdicts,
               double failure) {
  const bool any_answer = std::ranges::any_of(parts, judges_answer);
  Verdict sum{.correct = true};
  bool passes = true;
  for (size_t i = 0; i < parts.size(); ++i) {
    add_part(sum, parts[i], verdicts[i], failure, parts.size() == 1);
    if (parts[i].spec.gate) passes = passes && verdicts[i].correct;
    if (!any_answer || judges_answer(parts[i])) sum.correct = sum.correct && verdicts[i].correct;
  }
  if (!passes) sum.score = failure;
  sum.correct = sum.correct && passes;
  return sum;
}

}  // namespace

SumVerifier::SumVerifier(std::vector<SumPart> parts, double failure)
    : parts_(std::move(parts)), failure_(failure) {}

void SumVerifier::check(const Problem& problem) const {
  for (const SumPart& part : parts_) part.verifier->check(problem);
}

std::vector<std::string> SumVerifier::part_names() const {
  std::vector<std::string> names;
  for (const SumPart& part : parts_) names.push_back(part.spec.label);
  return names;
}

std::vector<bool> SumVerifier::equivalent(std::span<const AnswerPair> pairs) {
  for (SumPart& part : parts_)
    if (judges_answer({part.spec, part.judges})) return part.verifier->equivalent(pairs);
  return Verifier::equivalent(pairs);
}

Verifier::Pending SumVerifier::begin(std::span<const Response> responses) {
  std::vector<SpecOfPart> specs;
  std::vector<Pending> pending;
  for (SumPart& part : parts_) {
    specs.push_back({part.spec, part.judges});
    pending.push_back(part.verifier->start(responses));
  }
  const bool known = std::ranges::all_of(pending, &Pending::known);
  const auto sum = [specs, pending, failure = failure_, count = responses.size()] {
    std::vector<std::vector<Verdict>> by_response(count);
    for (const Pending& part : pending) {
      std::vector<Verdict> verdicts = part();
      for (size_t i = 0; i < count; ++i) by_response[i].push_back(std::move(verdicts[i]));
    }
    std::vector<Verdict> sums;
    for (const std::vector<Verdict>& verdicts : by_response)
      sums.push_back(add_up(specs, verdicts, failure));
    return sums;
  };
  return {sum, known};
}

}  // namespace treepo
