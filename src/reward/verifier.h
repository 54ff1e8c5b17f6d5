#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/options.h"  // RewardOptions
#include "reward/problem.h"

namespace treepo {

// One trajectory as a verifier sees it.
struct Response {
  const Problem* problem;  // never null
  // The decoded response without the end-of-sequence token that ended it. Other special tokens are
  // written out, so that none is taken for an empty string.
  std::string_view text;
  bool ended_with_eos = false;  // its last token is an end-of-sequence token
};

// Why a response could not be judged.
enum class VerifierFailure {
  none,
  error,      // the verifier raised, or returned what is no verdict
  timed_out,  // it took longer than reward.timeout_s
  died,       // its process ended in the middle
};

struct Verdict {
  double score = 0.0;    // the reward, before penalties
  bool correct = false;  // the answer is entirely right: what accuracies count
  // What was read as the answer, nullopt where there is none. Equal strings are equal answers:
  // majority votes compare them. Different strings may be: Verifier::equivalent tells.
  std::optional<std::string> answer{};
  std::string reason{};  // a few words for logs: "right", "no EOS", "wrong value"
  VerifierFailure failure = VerifierFailure::none;
  std::vector<double> parts{};  // score of each part, in the order of Verifier::part_names()
};

// Judges trajectories. Implementations override judge() or, where the work is done elsewhere,
// begin(); callers use verify() or start(), which guard what comes back.
class Verifier {
 public:
  virtual ~Verifier() = default;

  // Throws Error, naming the problem, where its answer is missing or can't be judged by this
  // verifier. Called for each problem when a data set is loaded, so that no run dies of it later.
  virtual void check(const Problem& problem) const = 0;

  // What a reward is the sum of, by the names that logs use: "math", "tags". Empty: one number.
  virtual std::vector<std::string> part_names() const { return {}; }

  // One verdict for each response, in order. Throws Error on a score that is not a finite number.
  std::vector<Verdict> verify(std::span<const Response> responses);

  // The same in two halves: the work begins, and what is returned waits for its end, once. Problems
  // and texts must live until then, the span need not. Verdicts don't depend on when it is called.
  class Pending {
   public:
    Pending() = default;
    // wait: gives the verdicts. known: they are there, without any work that goes on elsewhere.
    template <typename Wait>
    Pending(Wait wait, bool known = true) : wait_(std::move(wait)), known_(known) {}

    std::vector<Verdict> operator()() const { return wait_(); }
    // Follows from the responses alone, and not from how fast other processes are.
    bool known() const { return known_; }

   private:
    std::function<std::vector<Verdict>()> wait_;
    bool known_ = true;
  };
  Pending start(std::span<const Response> responses);

  // For each pair of Verdict::answer, whether they are the same answer. By default: equal strings.
  using AnswerPair = std::pair<std::string, std::string>;
  virtual std::vector<bool> equivalent(std::span<const AnswerPair> pairs);

 private:
  virtual std::vector<Verdict> judge(std::span<const Response> responses);
  virtual Pending begin(std::span<const Response> responses);
};

// The verifier that options.kind and options.parts describe (reward/reward_spec.h). Throws Error,
// naming what there is, where it does not exist, or a Python package that it needs is missing.
std::unique_ptr<Verifier> make_verifier(const RewardOptions& options);

}  // namespace treepo
