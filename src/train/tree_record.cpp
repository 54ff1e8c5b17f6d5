#include "train/tree_record.h"

#include "rollout/tree_json.h"

namespace treepo {

namespace {

// What each token of the node adds to its text; a character of several tokens is the last one's.
std::vector<std::string> token_texts(const SearchTree& tree, int32_t node, const TokenText& text) {
  StreamingDecoder decoder(text.tokenizer, false);
  std::vector<std::string> texts;
  for (const int32_t token : tree.tokens(node)) texts.push_back(decoder.push(token));
  if (!texts.empty()) texts.back() += decoder.finish();
  return texts;
}

TreeNotes text_notes(const TrainingQuery& query, const SearchTree& tree, const TokenText& text) {
  TreeNotes notes;
  notes.query_id = query.problem.id;
  for (int32_t node = 0; node < tree.num_nodes(); ++node) {
    notes.node_texts.push_back(segment_text(tree, node, text));
    notes.token_texts.push_back(token_texts(tree, node, text));
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
  notes.node_advantages = scored.node_advantages;
  OrderedJson record = tree_to_json(scored.tree, notes);
  record["prompt_text"] = text.tokenizer.decode(scored.query.prompt, false);
  if (scored.query.problem.answer) record["answer"] = *scored.query.problem.answer;
  OrderedJson& leaves = record["leaves"];
  for (size_t i = 0; i < scored.verdicts.size(); ++i) {
    leaves[i]["score"] = scored.verdicts[i].score;
    leaves[i]["reason"] = scored.verdicts[i].reason;
    if (!scored.kl_penalties.empty()) leaves[i]["kl_penalty"] = scored.kl_penalties[i];
  }
  return record;
}

}  // namespace treepo
