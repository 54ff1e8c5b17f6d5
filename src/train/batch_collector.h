#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/timer.h"
#include "config/options.h"
#include "data/data_set.h"
#include "evaluate/metrics.h"
#include "reward/verifier.h"
#include "rollout/engine.h"
#include "train/training_query.h"
#include "train/trajectory_text.h"
#include "tree/search_tree.h"

namespace treepo {

// A tree with what its verifier said. All lists have one entry per tree.leaves(), in its order.
struct ScoredTree {
  ScoredTree(TrainingQuery q, SearchTree t) : query(std::move(q)), tree(std::move(t)) {}

  TrainingQuery query;
  SearchTree tree;
  std::vector<std::string> responses;  // text of each trajectory without its EOS
  std::vector<Verdict> verdicts;
  std::vector<double> rewards;          // score minus the overlong penalty
  std::vector<double> kl_penalties;     // taken from them too, by the trainer; empty: nothing
  std::vector<double> advantages;       // filled by the trainer; empty before
  std::vector<double> node_advantages;  // by node, where advantage.kind gives nodes their own

  double mean_score() const;
};

// Its trajectories as metrics take them.
Samples samples_of(const ScoredTree& scored);

struct CollectedBatch {
  std::vector<ScoredTree> kept;     // these train
  std::vector<ScoredTree> dropped;  // all scores equal (or no trajectory): nothing to learn from
  std::vector<std::string> part_names;  // of Verdict::parts
  int64_t next_position = 0;            // first query that was not used
  int64_t rounds = 0;
};

// A finished tree whose verification has begun; problem and verifier must outlive it, the tree need
// not.
struct TreeVerification {
  std::vector<std::string> responses{};  // by tree.leaves()
  Verifier::Pending verdicts{};
};

using LeafVerdicts = std::map<int32_t, Verdict>;  // by leaf, of one tree

// Judges leaves of trees that still grow, where divergence or pruning goes by value, and keeps the
// verdicts, so that no leaf is judged twice.
class LeafScorer {
 public:
  // problems: of the queries, in their order. All that is passed must outlive it.
  LeafScorer(std::vector<const Problem*> problems, const TokenText& text, Verifier& verifier);

  // RolloutCallbacks::score_leaves: 1 for each trajectory that is correct, 0 for the others. The
  // scorer must outlive it.
  decltype(RolloutCallbacks::score_leaves) callback();
  // Those of the tree of the index-th query, which are forgotten.
  LeafVerdicts take(size_t index);

 private:
  std::vector<const Problem*> problems_;
  const TokenText& text_;
  Verifier& verifier_;
  std::vector<LeafVerdicts> verdicts_;  // of each query
};

// Rolls out queries from a position on and verifies them until queries_per_step trees are kept.
// With dynamic sampling (DAPO, arXiv 2503.14476) a tree whose scores, before penalties, are all
// equal is dropped and another query takes its place, in at most max_sampling_rounds rounds; then
// the batch is what there is.
class BatchCollector {
 public:
  BatchCollector(const RunOptions& options, QuerySource& source, const TokenText& text,
                 Verifier& verifier, RolloutEngine& engine);

  // A tree's verification begins when it is finished, while others are decoded. Adds its seconds to
  // phases "sample" and, for what is waited for after it, "verify".
  CollectedBatch collect(int64_t position, const RolloutCallbacks& callbacks, PhaseTimes& times);

 private:
  bool teaches_nothing(const ScoredTree& scored) const;
  // All must outlive what is returned.
  RolloutCallbacks with_verification(const RolloutCallbacks& callbacks,
                                     const std::vector<TrainingQuery>& queries, LeafScorer& scorer,
                                     std::vector<TreeVerification>& begun);

  const RunOptions& options_;
  QuerySource& source_;
  const TokenText& text_;
  Verifier& verifier_;
  RolloutEngine& engine_;
};

std::vector<const Problem*> problems_of(const std::vector<TrainingQuery>& queries);

// Begins to verify the trajectories of a finished tree, but for those whose verdicts are known.
TreeVerification start_verification(const Problem& problem, const SearchTree& tree,
                                    const TokenText& text, Verifier& verifier,
                                    LeafVerdicts known = {});

// Waits for the verdicts. The query's problem must still lie where verification began.
ScoredTree finish_verification(TrainingQuery& query, SearchTree tree, TreeVerification begun,
                               const RunOptions& options);

// Both at once.
ScoredTree score_tree(TrainingQuery query, SearchTree tree, const TokenText& text,
                      Verifier& verifier, const RunOptions& options);

}  // namespace treepo
