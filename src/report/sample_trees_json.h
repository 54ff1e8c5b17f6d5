#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/json.h"
#include "report/logged_tree.h"

namespace treepo {

// How much of a tree's texts the page holds.
enum class TreeDetail {
  tokens,    // each token with its log-prob
  segments,  // each segment's text, no tokens
  excerpts,  // the beginning of each segment's text
};

// A tree in short keys:
// {"step", "query", "prompt", "answer", "detail": a TreeDetail's name or "no_tokens",
//  "nodes": [{"p": parent, "u": tokens used of it where not all, "n": tokens, "l": mean log-prob,
//             "e": mean entropy, "s": stop, "d": discarded, "f": fallback, "a": advantage,
//             "t": text or [token texts], "lp": [-100 × log-prob, rounded]}, …],
//  "leaves": [{"n": node, "r": reward, "a": advantage, "s": score, "w": reason, "k": tokens}, …]}
OrderedJson tree_json(const LoggedTree& tree, TreeDetail detail);

struct SampleTrees {
  OrderedJson trees = OrderedJson::array();  // by step, in the file's order within one
  int64_t num_trees = 0;                     // in the file
  int64_t unreadable_lines = 0;
};

// As many steps of a samples.jsonl as fit into max_bytes of JSON: the last, the first, then those
// that halve the gaps between them. A tree larger than a tenth of max_bytes loses detail. A missing
// file has no trees.
SampleTrees read_sample_trees(const std::string& path, size_t max_bytes);

}  // namespace treepo
