#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
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

struct Verdict {
  double score = 0.0;    // the reward, before penalties
  bool correct = false;  // the answer is entirely right: what accuracies count
  // What was read as the answer, nullopt where there is none. Equal strings are equal answers:
  // majority votes compare them.
  std::optional<std::string> answer;
  std::string reason;  // a few words for logs: "right", "no EOS", "wrong value"
};

// Judges trajectories. Implementations override judge(); callers use verify(), which guards what
// comes back.
class Verifier {
 public:
  virtual ~Verifier() = default;

  // Throws Error, naming the problem, where its answer is missing or can't be judged by this
  // verifier. Called for each problem when a data set is loaded, so that no run dies of it later.
  virtual void check(const Problem& problem) const = 0;

  // One verdict for each response, in order. Throws Error on a score that is not a finite number.
  std::vector<Verdict> verify(std::span<const Response> responses);

 private:
  virtual std::vector<Verdict> judge(std::span<const Response> responses) = 0;
};

// The verifier named by options.kind; an unknown kind is an Error that lists all.
std::unique_ptr<Verifier> make_verifier(const RewardOptions& options);

}  // namespace treepo
