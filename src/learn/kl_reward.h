#pragma once

#include <vector>

#include "config/options.h"  // ObjectiveOptions
#include "learn/pack.h"

namespace treepo {

// What objective.kl_in_reward takes from the reward of each of training.leaves:
//   kl_beta * sum over its tokens of kl_term(kl_estimator, reference_logp - old_logp)
// With k1 that is kl_beta * log(pi_old(trajectory) / pi_reference(trajectory)), as RLOO (arXiv
// 2402.14740) and REINFORCE++ (arXiv 2501.03262) have it. One pass over the tree's tokens, however
// many trajectories share them. The reference log-probs must be there; without old ones those of
// the sampler count.
std::vector<double> kl_penalties(const TrainingTree& training, const ObjectiveOptions& objective);

}  // namespace treepo
