#include "train/batch_collector.h"

#include <utility>

#include "learn/advantage.h"  // all_scores_equal
#include "reward/overlong.h"
#include "train/trajectory_text.h"

namespace treepo {

double ScoredTree::mean_score() const {
  double sum = 0;
  for (const Verdict& verdict : verdicts) sum += verdict.score;
  return verdicts.empty() ? 0 : sum / static_cast<double>(verdicts.size());
}

ScoredTree score_tree(TrainingQuery query, SearchTree tree, const TokenText& text,
                      Verifier& verifier, const RunOptions& options) {
  ScoredTree scored(std::move(query), std::move(tree));
  const std::vector<int32_t>& leaves = scored.tree.leaves();
  scored.responses.reserve(leaves.size());  // Response::text points into it
  std::vector<Response> responses;
  for (int32_t leaf : leaves) {
    scored.responses.push_back(trajectory_text(scored.tree, leaf, text));
    responses.push_back({.problem = &scored.query.problem,
                         .text = scored.responses.back(),
                         .ended_with_eos = ends_with_eos(scored.tree, leaf, text)});
  }
  scored.verdicts = verifier.verify(responses);

  const int64_t limit = longest_response(options.rollout, options.stop);
  for (size_t i = 0; i < leaves.size(); ++i) {
    const int64_t tokens = scored.tree.path_tokens(leaves[i]);
    scored.rewards.push_back(scored.verdicts[i].score -
                             overlong_penalty(tokens, limit, options.reward));
  }
  return scored;
}

BatchCollector::BatchCollector(const RunOptions& options, QuerySource& source,
                               const TokenText& text, Verifier& verifier, RolloutEngine& engine)
    : options_(options), source_(source), text_(text), verifier_(verifier), engine_(engine) {}

bool BatchCollector::teaches_nothing(const ScoredTree& scored) const {
  if (scored.verdicts.empty()) return true;
  if (!options_.train.dynamic_sampling) return false;
  std::vector<double> scores;
  for (const Verdict& verdict : scored.verdicts) scores.push_back(verdict.score);
  return all_scores_equal(scores);
}

CollectedBatch BatchCollector::collect(int64_t position, const RolloutCallbacks& callbacks,
                                       PhaseTimes& times) {
  const auto wanted = static_cast<size_t>(options_.train.queries_per_step);
  const int64_t max_rounds =
      options_.train.dynamic_sampling ? options_.train.max_sampling_rounds : 1;
  CollectedBatch batch;
  batch.next_position = position;
  while (batch.kept.size() < wanted && batch.rounds < max_rounds) {
    ++batch.rounds;
    std::vector<TrainingQuery> queries;
    std::vector<Query> prompts;
    for (size_t i = batch.kept.size(); i < wanted; ++i) {
      ProblemVisit visit = source_.at(batch.next_position++);
      queries.push_back(make_training_query(std::move(visit.problem), visit.number, visit.visit,
                                            text_.tokenizer));
      prompts.push_back({queries.back().id, queries.back().visit, queries.back().prompt});
    }

    std::vector<SearchTree> trees;
    {
      PhaseTimes::Scope scope = times.measure("sample");
      trees = engine_.run(prompts, callbacks);
    }
    PhaseTimes::Scope scope = times.measure("verify");
    for (size_t i = 0; i < trees.size(); ++i) {
      ScoredTree scored =
          score_tree(std::move(queries[i]), std::move(trees[i]), text_, verifier_, options_);
      (teaches_nothing(scored) ? batch.dropped : batch.kept).push_back(std::move(scored));
    }
  }
  return batch;
}

}  // namespace treepo
