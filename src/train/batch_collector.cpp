#include "train/batch_collector.h"

#include <utility>

#include "learn/advantage.h"  // all_scores_equal
#include "reward/overlong.h"
#include "train/trajectory_text.h"
#include "tree/growth.h"  // needs_leaf_scores

namespace treepo {

double ScoredTree::mean_score() const {
  double sum = 0;
  for (const Verdict& verdict : verdicts) sum += verdict.score;
  return verdicts.empty() ? 0 : sum / static_cast<double>(verdicts.size());
}

Samples samples_of(const ScoredTree& scored) {
  Samples samples;
  for (const Verdict& verdict : scored.verdicts) {
    samples.push_back(
        {.score = verdict.score, .correct = verdict.correct, .answer = verdict.answer});
  }
  return samples;
}

namespace {

// `texts` gets one response for each leaf.
std::vector<Verdict> verify_leaves(const Problem& problem, const SearchTree& tree,
                                   std::span<const int32_t> leaves, const TokenText& text,
                                   Verifier& verifier, std::vector<std::string>& texts) {
  texts.reserve(leaves.size());  // Response::text points into it
  std::vector<Response> responses;
  for (int32_t leaf : leaves) {
    texts.push_back(trajectory_text(tree, leaf, text));
    responses.push_back({.problem = &problem,
                         .text = texts.back(),
                         .ended_with_eos = ends_with_eos(tree, leaf, text)});
  }
  return verifier.verify(responses);
}

}  // namespace

std::function<std::vector<double>(size_t, const Query&, const SearchTree&,
                                  std::span<const int32_t>)>
leaf_scorer(const std::vector<TrainingQuery>& queries, const TokenText& text, Verifier& verifier) {
  return [&](size_t index, const Query&, const SearchTree& tree, std::span<const int32_t> leaves) {
    std::vector<std::string> texts;
    std::vector<double> scores;
    for (const Verdict& verdict :
         verify_leaves(queries[index].problem, tree, leaves, text, verifier, texts)) {
      scores.push_back(verdict.correct ? 1 : 0);
    }
    return scores;
  };
}

ScoredTree score_tree(TrainingQuery query, SearchTree tree, const TokenText& text,
                      Verifier& verifier, const RunOptions& options) {
  ScoredTree scored(std::move(query), std::move(tree));
  const std::vector<int32_t>& leaves = scored.tree.leaves();
  scored.verdicts =
      verify_leaves(scored.query.problem, scored.tree, leaves, text, verifier, scored.responses);

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
      RolloutCallbacks with_scores = callbacks;
      if (needs_leaf_scores(options_.rollout)) {
        with_scores.score_leaves = leaf_scorer(queries, text_, verifier_);
      }
      trees = engine_.run(prompts, with_scores);
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
