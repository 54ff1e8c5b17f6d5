#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "kernels/sampling.h"
#include "rollout/engine.h"
#include "rollout/fake_model.h"  // LogitModel::Logits
#include "tree/growth.h"
#include "tree/stop_rules.h"

namespace treepo {

// The slow and obvious twin of the engine: one tree, one path, one token after the other, the
// logits of each from its whole path.
inline SearchTree reference_rollout(const Query& query, const RolloutSettings& settings,
                                    const LogitModel::Logits& logits,
                                    const RolloutCallbacks& callbacks, int64_t num_queries = 1) {
  const StopRules rules = make_stop_rules(settings.growth, settings.stop);
  const RandomStream stream(settings.seed, settings.purpose, query.id, query.visit);
  const SamplingParams sampling{.temperature = settings.sampling.temperature,
                                .top_k = static_cast<int32_t>(settings.sampling.top_k),
                                .top_p = settings.sampling.top_p,
                                .min_p = settings.sampling.min_p};
  SearchTree tree(query.prompt, rules.segment_tokens);
  TreeGrowth growth(settings.growth, settings.seed, query.id, query.visit,
                    {.training_share = settings.training_share, .trees = num_queries});
  const auto draw_next = [&](int32_t node) {
    std::vector<int32_t> path = query.prompt;
    const std::vector<int32_t> response = tree.response(node);
    path.insert(path.end(), response.begin(), response.end());
    const std::vector<double> row = logits(path);
    const double u = stream.uniform(static_cast<uint32_t>(node),
                                    static_cast<uint32_t>(tree.node(node).num_tokens));
    return draw_token(row.data(), static_cast<int32_t>(row.size()), sampling, u);
  };
  std::vector<Branch> branches = growth.start();
  while (!branches.empty()) {
    const int32_t first = tree.num_nodes();
    for (const Branch& branch : branches) {
      for (int32_t i = 0; i < branch.copies; ++i) {
        tree.add_child(branch.parent, branch.parent_used_tokens);
      }
    }
    std::vector<int32_t> active;
    int32_t stopped = 0;
    for (int32_t node = first; node < tree.num_nodes(); ++node) {
      TokenFacts last;
      do {
        const DrawnToken drawn = draw_next(node);
        tree.append(node, drawn.token, drawn.logprob, drawn.entropy);
        last.eos = std::ranges::count(settings.eos_ids, drawn.token) > 0;
        last.stop_string = !settings.stop.stop_strings.empty() &&
                           callbacks.ends_with_stop_string(query, tree, node);
      } while (!ends_segment(rules, tree.node(node), last));
      const SegmentFacts facts =
          rules.need_segment_facts() ? callbacks.judge_segment(query, tree, node) : SegmentFacts{};
      const StopReason reason = judge_segment(rules, tree.node(node), last, facts);
      if (reason == StopReason::none) {
        active.push_back(node);
      } else {
        tree.stop(node, reason, is_too_short(rules, tree.node(node)));
        ++stopped;
      }
    }
    if (needs_leaf_scores(settings.growth)) {
      for (const int32_t leaf : tree.leaves()) {
        const bool scored = !std::isnan(tree.node(leaf).score);
        if (scored || !is_finished(tree.node(leaf).stop)) continue;
        tree.set_score(leaf, callbacks.score_leaves(0, query, tree, {&leaf, 1}).wait()[0]);
      }
    }
    for (const int32_t node : growth.prune(tree, active)) {
      tree.stop(node, StopReason::pruned,
                !settings.growth.train_pruned || is_too_short(rules, tree.node(node)));
      std::erase(active, node);
      ++stopped;
    }
    if (growth.needs_next_entropies(tree, active, stopped)) {
      for (const int32_t node : active) tree.set_next_entropy(node, draw_next(node).entropy);
    }
    branches = growth.next(tree, active, stopped);
  }
  return tree;
}

}  // namespace treepo
