#include "train/batch_collector.h"

#include <memory>
#include <utility>

#include "base/activity.h"
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

// `text` must outlive what is returned.
Response response_of(const Problem& problem, const SearchTree& tree, int32_t leaf,
                     const TokenText& token_text, const std::string& text) {
  return {
      .problem = &problem, .text = text, .ended_with_eos = ends_with_eos(tree, leaf, token_text)};
}

// One for each leaf.
std::vector<std::string> texts_of(const SearchTree& tree, std::span<const int32_t> leaves,
                                  const TokenText& text) {
  std::vector<std::string> texts;
  for (const int32_t leaf : leaves) texts.push_back(trajectory_text(tree, leaf, text));
  return texts;
}

}  // namespace

std::vector<const Problem*> problems_of(const std::vector<TrainingQuery>& queries) {
  std::vector<const Problem*> problems;
  for (const TrainingQuery& query : queries) problems.push_back(&query.problem);
  return problems;
}

LeafScorer::LeafScorer(std::vector<const Problem*> problems, const TokenText& text,
                       Verifier& verifier)
    : problems_(std::move(problems)),
      text_(text),
      verifier_(verifier),
      verdicts_(problems_.size()) {}

decltype(RolloutCallbacks::score_leaves) LeafScorer::callback() {
  return [this](size_t index, const Query&, const SearchTree& tree,
                std::span<const int32_t> leaves) {
    struct Asked {
      std::vector<int32_t> leaves;
      std::vector<std::string> texts;
      Verifier::Pending verdicts{};
    };
    const auto asked = std::make_shared<Asked>(
        Asked{{leaves.begin(), leaves.end()}, texts_of(tree, leaves, text_)});
    std::vector<Response> responses;
    for (size_t i = 0; i < leaves.size(); ++i)
      responses.push_back(response_of(*problems_[index], tree, leaves[i], text_, asked->texts[i]));
    asked->verdicts = verifier_.start(responses);
    const auto wait = [this, index, asked] {
      std::vector<Verdict> verdicts = asked->verdicts();
      std::vector<double> scores;
      for (size_t i = 0; i < verdicts.size(); ++i) {
        scores.push_back(verdicts[i].correct ? 1 : 0);
        verdicts_[index].emplace(asked->leaves[i], std::move(verdicts[i]));
      }
      return scores;
    };
    return asked->verdicts.known() ? LeafScores(wait()) : LeafScores(wait);
  };
}

LeafVerdicts LeafScorer::take(size_t index) {
  return std::exchange(verdicts_[index], {});
}

TreeVerification start_verification(const Problem& problem, const SearchTree& tree,
                                    const TokenText& text, Verifier& verifier, LeafVerdicts known) {
  const std::vector<int32_t>& leaves = tree.leaves();
  TreeVerification begun;
  begun.responses = texts_of(tree, leaves, text);
  std::vector<Response> unknown;
  for (size_t i = 0; i < leaves.size(); ++i)
    if (!known.contains(leaves[i]))
      unknown.push_back(response_of(problem, tree, leaves[i], text, begun.responses[i]));
  const Verifier::Pending rest = verifier.start(unknown);
  const auto wait = [leaves, known = std::move(known), rest] {
    const std::vector<Verdict> judged = rest();
    std::vector<Verdict> all;
    auto next = judged.begin();
    for (const int32_t leaf : leaves) {
      const auto at = known.find(leaf);
      all.push_back(at != known.end() ? at->second : *next++);
    }
    return all;
  };
  begun.verdicts = {wait, rest.known()};
  return begun;
}

ScoredTree finish_verification(TrainingQuery& query, SearchTree tree, TreeVerification begun,
                               const RunOptions& options) {
  std::vector<Verdict> verdicts = begun.verdicts();
  ScoredTree scored(std::move(query), std::move(tree));
  scored.responses = std::move(begun.responses);
  scored.verdicts = std::move(verdicts);
  const std::vector<int32_t>& leaves = scored.tree.leaves();
  const int64_t limit = longest_response(options.rollout, options.stop);
  for (size_t i = 0; i < leaves.size(); ++i) {
    const int64_t tokens = scored.tree.path_tokens(leaves[i]);
    scored.rewards.push_back(scored.verdicts[i].score -
                             overlong_penalty(tokens, limit, options.reward));
  }
  return scored;
}

ScoredTree score_tree(TrainingQuery query, SearchTree tree, const TokenText& text,
                      Verifier& verifier, const RunOptions& options) {
  TreeVerification begun = start_verification(query.problem, tree, text, verifier);
  return finish_verification(query, std::move(tree), std::move(begun), options);
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

RolloutCallbacks BatchCollector::with_verification(const RolloutCallbacks& callbacks,
                                                   const std::vector<TrainingQuery>& queries,
                                                   LeafScorer& scorer,
                                                   std::vector<TreeVerification>& begun) {
  RolloutCallbacks verifying = callbacks;
  if (needs_leaf_scores(options_.rollout)) verifying.score_leaves = scorer.callback();
  verifying.tree_done = [&, done = callbacks.tree_done](size_t index, const Query& query,
                                                        const SearchTree& tree) {
    begun[index] =
        start_verification(queries[index].problem, tree, text_, verifier_, scorer.take(index));
    if (done) done(index, query, tree);
  };
  return verifying;
}

CollectedBatch BatchCollector::collect(int64_t position, const RolloutCallbacks& callbacks,
                                       PhaseTimes& times) {
  const auto wanted = static_cast<size_t>(options_.train.queries_per_step);
  const int64_t max_rounds =
      options_.train.dynamic_sampling ? options_.train.max_sampling_rounds : 1;
  CollectedBatch batch;
  batch.part_names = verifier_.part_names();
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

    LeafScorer scorer(problems_of(queries), text_, verifier_);
    std::vector<TreeVerification> begun(queries.size());
    std::vector<SearchTree> trees;
    {
      PhaseTimes::Scope scope = times.measure("sample");
      trees = engine_.run(prompts, with_verification(callbacks, queries, scorer, begun));
    }
    PhaseTimes::Scope scope = times.measure("verify");
    const Activity activity("verify");
    for (size_t i = 0; i < trees.size(); ++i) {
      ScoredTree scored =
          finish_verification(queries[i], std::move(trees[i]), std::move(begun[i]), options_);
      (teaches_nothing(scored) ? batch.dropped : batch.kept).push_back(std::move(scored));
    }
  }
  return batch;
}

}  // namespace treepo
