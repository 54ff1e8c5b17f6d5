#pragma once

#include <string>

#include "tree/search_tree.h"

namespace treepo {

// A tree of letters as text: one line for each node below its parent, indented by depth; "@2" where
// it keeps only 2 tokens of its parent's segment; why it stopped; "(discarded)".
inline std::string picture(const SearchTree& tree, int32_t id = 0) {
  const TreeNode& node = tree.node(id);
  const auto tokens = id == 0 ? tree.prompt() : tree.tokens(id);
  std::string text(static_cast<size_t>(node.depth) * 2, ' ');
  if (id > 0 && node.parent > 0 && node.parent_used_tokens < tree.node(node.parent).num_tokens) {
    text += "@" + std::to_string(node.parent_used_tokens) + " ";
  }
  text.append(tokens.begin(), tokens.end());
  if (node.stop != StopReason::none) text += " " + std::string(stop_reason_name(node.stop));
  if (node.discarded) text += " (discarded)";
  text += "\n";
  for (int32_t child = id + 1; child < tree.num_nodes(); ++child) {
    if (tree.node(child).parent == id) text += picture(tree, child);
  }
  return text;
}

}  // namespace treepo
