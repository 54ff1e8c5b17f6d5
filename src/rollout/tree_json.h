#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "tree/search_tree.h"

namespace treepo {

// What is known of a tree beside its tokens; every list may be empty. Nodes by id, trajectories in
// the order of tree.leaves().
struct TreeNotes {
  Json query_id{};                        // a number or a text; null: not written
  std::vector<std::string> node_texts{};  // half characters as U+FFFD
  // By node: what each of its tokens adds to the text. Half characters wait for their other half.
  std::vector<std::vector<std::string>> token_texts{};
  std::vector<std::string> leaf_texts{};  // exact
  std::vector<double> rewards{};          // NaN: not known
  std::vector<double> advantages{};       // NaN: not known
  std::vector<double> node_advantages{};  // by node; NaN: not known
};

struct TreeRecord {
  SearchTree tree;
  TreeNotes notes;
};

// {"query_id", "prompt": [ids],
//  "nodes": [{"id", "parent", "tokens", "parent_used_tokens" where it is not all of the parent's,
//             "fallback" where a path restarted, "logprobs", "entropies", "stop" where the path
//             stopped, "discarded", "advantage", "text", "token_texts"}, …],
//  "leaves": [{"path": [node ids], "reward", "advantage", "end", "num_tokens", "text"}, …]}
// Node 0 stands for the prompt.
OrderedJson tree_to_json(const SearchTree& tree, const TreeNotes& notes = {});

// The reverse. logprobs and entropies may be absent (then 0), and so may everything optional above;
// "end": "boxed" reads as answer. Throws Error naming `where` and what does not fit together.
TreeRecord tree_from_json(const Json& object, const std::string& where);

}  // namespace treepo
