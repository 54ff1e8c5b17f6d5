#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/options.h"
#include "rollout/engine.h"
#include "text/tokenizer.h"
#include "tree/search_tree.h"

namespace treepo {

// Where trees of token ids meet text: rollout/ knows no tokenizer, text/ knows no trees.
struct TokenText {
  const Tokenizer& tokenizer;  // the caller's
  std::vector<int32_t> eos_ids;

  bool is_eos(int32_t token) const;
};

// Whether the last token of the response down to `leaf` is an end of sequence.
bool ends_with_eos(const SearchTree& tree, int32_t leaf, const TokenText& text);

// The response down to `leaf`, without the EOS token that ended it; other special tokens are
// written out.
std::string trajectory_text(const SearchTree& tree, int32_t leaf, const TokenText& text);

// A node's own tokens. Bytes of a character that lies in two segments show as U+FFFD.
std::string segment_text(const SearchTree& tree, int32_t node, const TokenText& text);

// The engine's questions about text (a box, a repetition, a stop string), as the options ask for
// them. `options` and `text` must outlive the callbacks.
void add_text_rules(RolloutCallbacks& callbacks, const StopOptions& options, const TokenText& text);

}  // namespace treepo
