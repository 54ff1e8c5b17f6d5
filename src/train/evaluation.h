#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/metrics.h"
#include "config/options.h"
#include "evaluate/answer_groups.h"
#include "evaluate/sampling_benchmark.h"  // SamplingAccuracy
#include "evaluate/summary.h"
#include "model/step_model.h"
#include "reward/verifier.h"
#include "rollout/engine.h"
#include "train/training_query.h"
#include "train/trajectory_text.h"

namespace treepo {

// What one evaluation found over its problems.
struct EvaluationResult {
  EvaluationSummary summary;
  // The same of the problems whose prompt does not occur in training, where others' do.
  std::optional<EvaluationSummary> unseen;
  double mean_tokens = 0;  // of a sampled response
  double finished = 0;     // share of sampled responses that ended by themselves
  double seconds = 0;

  double headline() const;              // mean score; the best checkpoint has the highest
  void add_to(Metrics& metrics) const;  // names "eval/…", "eval/unseen/…"
};

// sequential, trees: options.evaluate.samples answers, each apart or as one tree of the options'
// growth, with evaluation's own temperature and top-p; greedy: the one most likely token by token.
enum class EvaluationWay { sequential, trees, greedy };

// Engine settings for it: training's stop rules but for the minimum length, and random numbers of
// their own.
RolloutSettings evaluation_settings(const RunOptions& options, const TokenText& text,
                                    EvaluationWay way);

// What majority votes ask. The verifier must outlive it.
AnswerEquivalence equivalence_of(Verifier& verifier);

// How right trees are, one for each query, in its order; answers that the verifier calls equivalent
// count as one, as in evaluate().
SamplingAccuracy tree_accuracy(const std::vector<TrainingQuery>& queries,
                               std::vector<SearchTree> trees, const RunOptions& options,
                               const TokenText& text, Verifier& verifier);

// Samples options.evaluate.samples answers for each query, sequentially, with evaluation's own
// temperature and top-p, and one greedy answer if asked for. With no samples the greedy answers
// stand for them. Same numbers for the same weights.
EvaluationResult evaluate(StepModel& model, const RunOptions& options,
                          const std::vector<TrainingQuery>& queries, const TokenText& text,
                          Verifier& verifier);

}  // namespace treepo
