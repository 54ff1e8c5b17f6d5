#pragma once

#include "base/json.h"
#include "train/batch_collector.h"
#include "train/trajectory_text.h"

namespace treepo {

// A sampled tree as a line of trees.jsonl and samples.jsonl: tree_to_json (rollout/tree_json.h)
// with texts, scores and advantages.

// A tree that nothing has judged; `query_id` is the problem's id.
OrderedJson unscored_record(const TrainingQuery& query, const SearchTree& tree,
                            const TokenText& text);

// With "prompt_text", "answer", and per leaf reward, advantage, score and the verifier's reason.
OrderedJson scored_record(const ScoredTree& scored, const TokenText& text);

}  // namespace treepo
