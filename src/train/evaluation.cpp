#include "train/evaluation.h"

#include <optional>
#include <utility>

#include "base/progress.h"
#include "base/timer.h"
#include "rollout/engine.h"
#include "train/tree_sampler.h"
#include "train/tree_verifier.h"

namespace treepo {

namespace {

// `samples` answers for each query, scored, in the order of the queries.
std::vector<ScoredTree> sample_answers(StepModel& model, const RunOptions& options,
                                       const std::vector<TrainingQuery>& queries,
                                       const TokenText& text, Verifier& verifier,
                                       const std::string& label, const RolloutSettings& settings) {
  std::vector<Query> prompts;
  for (const TrainingQuery& query : queries)
    prompts.push_back({query.id, query.visit, query.prompt});
  RolloutCallbacks callbacks;
  add_text_rules(callbacks, options.stop, text);
  Progress progress(label, static_cast<int64_t>(queries.size()));
  callbacks.progress = [&](const RolloutProgress& p) {
    progress.update(p.finished_queries,
                    fmt::format("{:.0f} unique tok/s  {} paths",
                                static_cast<double>(p.drawn_tokens) / p.seconds, p.active_paths));
  };
  std::vector<std::optional<ScoredTree>> done(queries.size());
  TreeVerifier trees(options, text, verifier,
                     [&](size_t index, ScoredTree tree) { done[index].emplace(std::move(tree)); });
  callbacks.tree_done = [&](size_t index, const Query&, const SearchTree& tree) {
    trees.begin(index, queries[index], tree);
  };
  RolloutEngine(model, settings).run(prompts, callbacks);
  trees.finish();

  std::vector<ScoredTree> scored;
  for (std::optional<ScoredTree>& tree : done) scored.push_back(std::move(*tree));
  return scored;
}

// Answers to the same problems, in the same order; either list may be empty, but not both.
struct Answers {
  std::vector<Samples> sampled;
  Samples greedy;  // one for each problem

  EvaluationSummary summary(uint64_t seed) const {
    if (!sampled.empty()) return summarize(sampled, greedy, {.seed = seed});
    std::vector<Samples> single;
    for (const Sample& answer : greedy) single.push_back({answer});
    return summarize(single, greedy, {.seed = seed});
  }
};

std::optional<EvaluationSummary> unseen_summary(const Answers& all,
                                                const std::vector<TrainingQuery>& queries,
                                                uint64_t seed) {
  Answers unseen;
  size_t count = 0;
  for (size_t i = 0; i < queries.size(); ++i) {
    if (queries[i].seen_in_training) continue;
    ++count;
    if (!all.sampled.empty()) unseen.sampled.push_back(all.sampled[i]);
    if (!all.greedy.empty()) unseen.greedy.push_back(all.greedy[i]);
  }
  if (count == 0 || count == queries.size()) return std::nullopt;
  return unseen.summary(seed);
}

void add_summary(const std::string& prefix, const EvaluationSummary& summary, Metrics& metrics) {
  metrics.set(prefix + "problems", summary.num_problems);
  metrics.set(prefix + "score", summary.score.mean);
  metrics.set(prefix + "pass@1", summary.average.mean);
  metrics.set(prefix + "pass@1_low", summary.average.low);
  metrics.set(prefix + "pass@1_high", summary.average.high);
  for (const AtK& at : summary.at_k) {
    if (at.k > 1) metrics.set(fmt::format("{}pass@{}", prefix, at.k), at.pass.mean);
    if (at.k > 1) metrics.set(fmt::format("{}maj@{}", prefix, at.k), at.majority.mean);
  }
  if (summary.greedy) metrics.set(prefix + "greedy", summary.greedy->mean);
}

void add_lengths(const std::vector<ScoredTree>& scored, EvaluationResult& result) {
  double tokens = 0, finished = 0, total = 0;
  for (const ScoredTree& tree : scored) {
    for (int32_t leaf : tree.tree.leaves()) {
      tokens += tree.tree.path_tokens(leaf);
      finished += is_finished(tree.tree.node(leaf).stop) ? 1 : 0;
      total += 1;
    }
  }
  result.mean_tokens = tokens / total;
  result.finished = finished / total;
}

}  // namespace

RolloutSettings evaluation_settings(const RunOptions& options, const TokenText& text,
                                    EvaluationWay way) {
  RolloutSettings settings = rollout_settings(options, text.eos_ids, Purpose::evaluate);
  settings.sampling = {.temperature = options.evaluate.temperature,
                       .top_p = options.evaluate.top_p};
  settings.growth.width = options.evaluate.samples;
  settings.stop.min_response_tokens = 0;
  if (way == EvaluationWay::trees) return settings;
  settings.growth.sequential = true;
  settings.growth.fallback = FallbackPolicy::none;
  if (way == EvaluationWay::greedy) {
    settings.growth.width = 1;
    settings.sampling = {.temperature = 0};
  }
  return settings;
}

AnswerEquivalence equivalence_of(Verifier& verifier) {
  return [&verifier](std::span<const Verifier::AnswerPair> pairs) {
    return verifier.equivalent(pairs);
  };
}

SamplingAccuracy tree_accuracy(const std::vector<TrainingQuery>& queries,
                               std::vector<SearchTree> trees, const RunOptions& options,
                               const TokenText& text, Verifier& verifier) {
  std::vector<Samples> problems;
  for (size_t i = 0; i < trees.size(); ++i)
    problems.push_back(
        samples_of(score_tree(queries[i], std::move(trees[i]), text, verifier, options)));
  unify_answers(problems, equivalence_of(verifier));
  return sampling_accuracy(problems, static_cast<uint64_t>(options.train.seed));
}

double EvaluationResult::headline() const {
  return summary.score.mean;
}

void EvaluationResult::add_to(Metrics& metrics) const {
  add_summary("eval/", summary, metrics);
  if (unseen) add_summary("eval/unseen/", *unseen, metrics);
  metrics.set("eval/tokens", mean_tokens);
  metrics.set("eval/finished", finished);
  metrics.set("time/evaluate", seconds);
}

EvaluationResult evaluate(StepModel& model, const RunOptions& options,
                          const std::vector<TrainingQuery>& queries, const TokenText& text,
                          Verifier& verifier) {
  const Timer timer;
  const EvaluateOptions& evaluate = options.evaluate;
  std::vector<ScoredTree> sampled, greedy;
  if (evaluate.samples > 0) {
    sampled = sample_answers(model, options, queries, text, verifier, "evaluate",
                             evaluation_settings(options, text, EvaluationWay::sequential));
  }
  if (evaluate.greedy) {
    greedy = sample_answers(model, options, queries, text, verifier, "evaluate greedy",
                            evaluation_settings(options, text, EvaluationWay::greedy));
  }

  Answers answers;
  for (const ScoredTree& tree : sampled) answers.sampled.push_back(samples_of(tree));
  unify_answers(answers.sampled, equivalence_of(verifier));
  for (const ScoredTree& tree : greedy) answers.greedy.push_back(samples_of(tree).at(0));
  const auto seed = static_cast<uint64_t>(options.train.seed);
  EvaluationResult result;
  result.summary = answers.summary(seed);
  result.unseen = unseen_summary(answers, queries, seed);
  add_lengths(sampled.empty() ? greedy : sampled, result);
  result.seconds = timer.seconds();
  return result;
}

}  // namespace treepo
