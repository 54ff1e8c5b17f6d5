#include "reward/verifier.h"

#include <array>
#include <cmath>

#include "base/error.h"
#include "reward/native.h"

namespace treepo {

namespace {

struct NativeKind {
  std::string_view name;
  Verdict (*judge)(const Response&);
  void (*check)(const Problem&);
};

constexpr std::array kNativeKinds = {
    NativeKind{"carry", verify_carry, require_integer_answer},
    NativeKind{"digits", verify_digits, require_answer},
    NativeKind{"exact", verify_exact, require_answer},
    NativeKind{"numeric", verify_numeric, require_numeric_answer},
};

class NativeVerifier : public Verifier {
 public:
  explicit NativeVerifier(const NativeKind& kind) : kind_(kind) {}

  void check(const Problem& problem) const override { kind_.check(problem); }

 private:
  std::vector<Verdict> judge(std::span<const Response> responses) override {
    std::vector<Verdict> verdicts;
    verdicts.reserve(responses.size());
    for (const Response& response : responses) verdicts.push_back(kind_.judge(response));
    return verdicts;
  }

  const NativeKind& kind_;
};

}  // namespace

std::vector<Verdict> Verifier::verify(std::span<const Response> responses) {
  std::vector<Verdict> verdicts = judge(responses);
  TREEPO_CHECK(verdicts.size() == responses.size(), "{} verdicts for {} responses", verdicts.size(),
               responses.size());
  for (size_t i = 0; i < verdicts.size(); ++i) {
    if (std::isfinite(verdicts[i].score)) continue;
    throw Error(fmt::format("the reward for a response to problem \"{}\" is {} (reason: {})",
                            responses[i].problem->id, verdicts[i].score, verdicts[i].reason),
                "a verifier must return a finite number for every response");
  }
  return verdicts;
}

std::unique_ptr<Verifier> make_verifier(const RewardOptions& options) {
  std::string names;
  for (const NativeKind& kind : kNativeKinds) {
    if (kind.name == options.kind) return std::make_unique<NativeVerifier>(kind);
    names += (names.empty() ? "" : ", ") + std::string(kind.name);
  }
  throw Error(fmt::format("unknown reward.kind \"{}\"", options.kind), "one of " + names);
}

}  // namespace treepo
