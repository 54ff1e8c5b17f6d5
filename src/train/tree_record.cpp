#include "train/tree_record.h"

#include "rollout/tree_json.h"

namespace treepo {

namespace {

TreeNotes text_notes(const TrainingQuery& query, const SearchTree& tree, const TokenText& text) {
  TreeNotes notes;
  notes.query_id = query.problem.id;
  for (int32_t node = 0; node < tree.num_nodes(); ++node) {
    notes.node_texts.push_back(segment_text(tree, node, text));
  }
  for (int32_t leaf : tree.leaves()) notes.leaf_texts.push_back(trajectory_text(tree, leaf, text));
  return notes;
}

}  // namespace

OrderedJson unscored_record(const TrainingQuery& query, const SearchTree& tree,
                            const TokenText& text) {
  return tree_to_json(tree, text_notes(query, tree, text));
}

OrderedJson scored_record(const ScoredTree& scored, const TokenText& text) {
  TreeNotes notes = text_notes(scored.query, scored.tree, text);
  notes.rewards = scored.rewards;
  notes.advantages = scored.advantages;
  OrderedJson record = tree_to_json(scored.tree, notes);
  record["prompt_text"] = text.tokenizer.decode(scored.query.prompt, false);
  if (scored.query.problem.answer) record["answer"] = *scored.query.problem.answer;
  OrderedJson& leaves = record["leaves"];
  for (size_t i = 0; i < scored.verdicts.size(); ++i) {
    leaves[i]["score"] = scored.verdicts[i].score;
    leaves[i]["reason"] = scored.verdicts[i].reason;
  }
  return record;
}

}  // namespace treepo
