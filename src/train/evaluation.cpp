#include "train/evaluation.h"

#include <utility>

#include "base/progress.h"
#include "base/timer.h"
#include "rollout/engine.h"
#include "train/batch_collector.h"

namespace treepo {

namespace {

// Engine settings for evaluation: independent answers, none of training's growth.
RolloutSettings evaluation_settings(const RunOptions& options, const TokenText& text,
                                    int64_t samples, const SamplingOptions& sampling) {
  RolloutSettings settings{.growth = options.rollout,
                           .stop = options.stop,
                           .sampling = sampling,
                           .engine = options.engine,
                           .eos_ids = text.eos_ids,
                           .seed = static_cast<uint64_t>(options.train.seed),
                           .purpose = Purpose::evaluate};
  settings.growth.sequential = true;
  settings.growth.width = samples;
  settings.growth.fallback = FallbackPolicy::none;
  settings.stop.min_response_tokens = 0;
  return settings;
}

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
  callbacks.progress = [&](const RolloutProgress& p) { progress.update(p.finished_queries); };
  std::vector<SearchTree> trees = RolloutEngine(model, settings).run(prompts, callbacks);

  std::vector<ScoredTree> scored;
  for (size_t i = 0; i < trees.size(); ++i) {
    scored.push_back(score_tree(queries[i], std::move(trees[i]), text, verifier, options));
  }
  return scored;
}

Samples samples_of(const ScoredTree& scored) {
  Samples samples;
  for (const Verdict& verdict : scored.verdicts) {
    samples.push_back(
        {.score = verdict.score, .correct = verdict.correct, .answer = verdict.answer});
  }
  return samples;
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

double EvaluationResult::headline() const {
  return summary.score.mean;
}

void EvaluationResult::add_to(Metrics& metrics) const {
  metrics.set("eval/problems", summary.num_problems);
  metrics.set("eval/score", summary.score.mean);
  metrics.set("eval/pass@1", summary.average.mean);
  metrics.set("eval/pass@1_low", summary.average.low);
  metrics.set("eval/pass@1_high", summary.average.high);
  for (const AtK& at : summary.at_k) {
    if (at.k > 1) metrics.set(fmt::format("eval/pass@{}", at.k), at.pass.mean);
    if (at.k > 1) metrics.set(fmt::format("eval/maj@{}", at.k), at.majority.mean);
  }
  if (summary.greedy) metrics.set("eval/greedy", summary.greedy->mean);
  metrics.set("eval/tokens", mean_tokens);
  metrics.set("eval/finished", finished);
  metrics.set("time/evaluate", seconds);
}

EvaluationResult evaluate(StepModel& model, const RunOptions& options,
                          const std::vector<TrainingQuery>& queries, const TokenText& text,
                          Verifier& verifier) {
  const Timer timer;
  EvaluationResult result;
  const SamplingOptions sampling{.temperature = options.evaluate.temperature,
                                 .top_p = options.evaluate.top_p};
  const std::vector<ScoredTree> scored =
      sample_answers(model, options, queries, text, verifier, "evaluate",
                     evaluation_settings(options, text, options.evaluate.samples, sampling));
  add_lengths(scored, result);
  std::vector<Samples> problems;
  for (const ScoredTree& tree : scored) problems.push_back(samples_of(tree));

  Samples greedy;
  if (options.evaluate.greedy) {
    for (const ScoredTree& tree :
         sample_answers(model, options, queries, text, verifier, "evaluate greedy",
                        evaluation_settings(options, text, 1, {.temperature = 0}))) {
      greedy.push_back(samples_of(tree).at(0));
    }
  }
  result.summary = summarize(problems, greedy, {.seed = static_cast<uint64_t>(options.train.seed)});
  result.seconds = timer.seconds();
  return result;
}

}  // namespace treepo
