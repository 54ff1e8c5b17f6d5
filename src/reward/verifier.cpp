#include "reward/verifier.h"

#include <cmath>
#include <utility>

#include "base/error.h"

namespace treepo {

namespace {

void require_verdicts(std::span<const Response> responses, std::span<const Verdict> verdicts) {
  TREEPO_CHECK(verdicts.size() == responses.size(), "{} verdicts for {} responses", verdicts.size(),
               responses.size());
  for (size_t i = 0; i < verdicts.size(); ++i) {
    if (std::isfinite(verdicts[i].score)) continue;
    throw Error(fmt::format("the reward for a response to problem \"{}\" is {} (reason: {})",
                            responses[i].problem->id, verdicts[i].score, verdicts[i].reason),
                "a verifier must return a finite number for every response");
  }
}

}  // namespace

std::vector<Verdict> Verifier::verify(std::span<const Response> responses) {
  return start(responses)();
}

Verifier::Pending Verifier::start(std::span<const Response> responses) {
  const Pending pending = begin(responses);
  return {[pending, asked = std::vector<Response>(responses.begin(), responses.end())] {
            std::vector<Verdict> verdicts = pending();
            require_verdicts(asked, verdicts);
            return verdicts;
          },
          pending.known()};
}

std::vector<bool> Verifier::equivalent(std::span<const AnswerPair> pairs) {
  std::vector<bool> same;
  for (const AnswerPair& pair : pairs) same.push_back(pair.first == pair.second);
  return same;
}

std::vector<Verdict> Verifier::judge(std::span<const Response>) {
  TREEPO_CHECK(false, "a verifier overrides judge() or begin()");
  return {};
}

Verifier::Pending Verifier::begin(std::span<const Response> responses) {
  return [verdicts = judge(responses)] { return verdicts; };
}

}  // namespace treepo
