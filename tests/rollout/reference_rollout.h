#pragma once

#include <algorithm>
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
                                    const RolloutCallbacks& callbacks) {
  const StopRules rules = make_stop_rules(settings.growth, settings.stop);
  const RandomStream stream(settings.seed, settings.purpose, query.id, query.visit);
  const SamplingParams sampling{.temperature = settings.sampling.temperature,
                                .top_k = static_cast<int32_t>(settings.sampling.top_k),
                                .top_p = settings.sampling.top_p,
                                .min_p = settings.sampling.min_p};
  SearchTree tree(query.prompt, rules.segment_tokens);
  TreeGrowth growth(settings.growth, settings.seed, query.id, query.visit);
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
        std::vector<int32_t> path = query.prompt;
        const std::vector<int32_t> response = tree.response(node);
        path.insert(path.end(), response.begin(), response.end());
        const std::vector<double> row = logits(path);
        const double u = stream.uniform(static_cast<uint32_t>(node),
                                        static_cast<uint32_t>(tree.node(node).num_tokens));
        const DrawnToken drawn =
            draw_token(row.data(), static_cast<int32_t>(row.size()), sampling, u);
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
    branches = growth.next(tree, active, stopped);
  }
  return tree;
}

}  // namespace treepo
