#include "train/sample_trees.h"

#include <memory>
#include <optional>
#include <utility>

#include "base/json.h"
#include "base/progress.h"
#include "reward/verifier.h"
#include "train/tree_record.h"
#include "train/tree_sampler.h"
#include "train/tree_verifier.h"
#include "tree/growth.h"  // needs_leaf_scores

namespace treepo {

RolloutStats sample_trees(LoadedModel& model, const RunOptions& options,
                          const std::vector<TrainingQuery>& queries, bool score,
                          const std::function<void(const std::string& line)>& write) {
  TreeSampler sampler(model, options, Purpose::evaluate);
  const TokenText& text = sampler.text();
  const std::unique_ptr<Verifier> verifier = score ? make_verifier(options.reward) : nullptr;
  for (const TrainingQuery& query : queries)
    if (verifier) verifier->check(query.problem);

  std::vector<std::optional<std::string>> lines(queries.size());
  size_t written = 0;
  Progress progress("sample", static_cast<int64_t>(queries.size()));
  RolloutCallbacks callbacks;
  std::optional<LeafScorer> scorer;
  if (verifier && needs_leaf_scores(options.rollout)) {
    scorer.emplace(problems_of(queries), text, *verifier);
    callbacks.score_leaves = scorer->callback();
  }
  const auto add_record = [&](size_t index, const OrderedJson& record) {
    lines[index] = dump_json(record);
    for (; written < lines.size() && lines[written]; ++written) {
      write(*lines[written]);
      lines[written].emplace();  // gives its memory back
    }
  };
  std::optional<TreeVerifier> trees;
  if (verifier)
    trees.emplace(options, text, *verifier, [&](size_t index, const ScoredTree& scored) {
      add_record(index, scored_record(scored, text));
    });
  callbacks.tree_done = [&](size_t index, const Query&, const SearchTree& tree) {
    if (trees)
      trees->begin(index, queries[index], tree, scorer ? scorer->take(index) : LeafVerdicts{});
    else
      add_record(index, unscored_record(queries[index], tree, text));
  };
  callbacks.progress = [&](const RolloutProgress& p) {
    progress.update(p.finished_queries,
                    fmt::format("{:.0f} unique tok/s  {} paths",
                                static_cast<double>(p.drawn_tokens) / p.seconds, p.active_paths));
  };

  sampler.sample(queries, callbacks);
  if (trees) trees->finish();
  return sampler.engine().stats();
}

}  // namespace treepo
