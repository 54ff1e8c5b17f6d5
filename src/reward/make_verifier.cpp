#include <algorithm>
#include <array>

#include "base/error.h"
#include "reward/function_verifier.h"
#include "reward/math_verifier.h"
#include "reward/reward_spec.h"
#include "reward/rules.h"
#include "reward/sum_verifier.h"
#include "reward/verifier.h"

namespace treepo {

namespace {

struct NativeKind {
  std::string_view name;
  Judges judges;
  NativeRule (*make)(const std::string& argument);
};

constexpr std::array kNativeKinds = {
    NativeKind{"exact", Judges::answer, exact_rule},
    NativeKind{"numeric", Judges::answer, numeric_rule},
    NativeKind{"multiple_choice", Judges::answer, multiple_choice_rule},
    NativeKind{"countdown", Judges::answer, countdown_rule},
    NativeKind{"carry", Judges::answer, carry_rule},
    NativeKind{"digits", Judges::value, digits_rule},
    NativeKind{"format", Judges::form, format_rule},
    NativeKind{"tags", Judges::form, tags_rule},
    NativeKind{"length", Judges::form, length_rule},
    NativeKind{"repetition", Judges::form, repetition_rule},
};

class NativeVerifier : public Verifier {
 public:
  explicit NativeVerifier(NativeRule rule) : rule_(std::move(rule)) {}

  void check(const Problem& problem) const override { rule_.check(problem); }

 private:
  std::vector<Verdict> judge(std::span<const Response> responses) override {
    std::vector<Verdict> verdicts;
    verdicts.reserve(responses.size());
    for (const Response& response : responses) verdicts.push_back(rule_.judge(response));
    return verdicts;
  }

  NativeRule rule_;
};

// Starts the workers when the first part asks for them.
class WorkersOnDemand {
 public:
  explicit WorkersOnDemand(const RewardOptions& options) : options_(options) {}

  SharedWorkers get() {
    if (!workers_)
      workers_ = std::make_shared<PythonWorkers>(
          PythonWorkerSettings{.workers = options_.workers,
                               .timeout_s = options_.timeout_s,
                               .memory_mib = options_.worker_memory_mib});
    return workers_;
  }

 private:
  const RewardOptions& options_;
  SharedWorkers workers_;
};

[[noreturn]] void throw_unknown(const RewardPart& part, const RewardOptions& options) {
  std::string names = "math";
  for (const NativeKind& kind : kNativeKinds) names += ", " + std::string(kind.name);
  const char* const key = options.kind == "parts" ? "verifier in reward.parts" : "reward.kind";
  throw Error(fmt::format("unknown {} \"{}\"", key, part.name),
              "one of " + names + ", python:FILE:FUNCTION");
}

SumPart make_part(const RewardPart& part, const RewardOptions& options, WorkersOnDemand& workers) {
  if (part.name == "math")
    return {part, Judges::answer, make_math_verifier(part.argument, workers.get())};
  if (part.name == "python")
    return {part, Judges::value, make_function_verifier(part.argument, workers.get())};
  for (const NativeKind& kind : kNativeKinds)
    if (kind.name == part.name)
      return {part, kind.judges, std::make_unique<NativeVerifier>(kind.make(part.argument))};
  throw_unknown(part, options);
}

}  // namespace

std::unique_ptr<Verifier> make_verifier(const RewardOptions& options) {
  WorkersOnDemand workers(options);
  std::vector<SumPart> parts;
  for (const RewardPart& part : parse_reward(options))
    parts.push_back(make_part(part, options, workers));
  return std::make_unique<SumVerifier>(std::move(parts), options.failure);
}

}  // namespace treepo
