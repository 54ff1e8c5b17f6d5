#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/tree_attention.h"

namespace treepo {

// Adds a run of `tokens` keys in new pages, `pages` of which exist, that rows [first_row,
// first_row + num_rows) see whole.
inline void add_whole_run(TreeAttentionWork& work, int32_t& pages, int32_t tokens,
                          int32_t first_row, int32_t num_rows) {
  for (int32_t left = tokens; left > 0; left -= work.page_tokens) {
    work.piece_page.push_back(pages++);
    work.piece_tokens.push_back(std::min(left, work.page_tokens));
  }
  work.run_piece_begin.push_back(static_cast<int32_t>(work.piece_page.size()));
  work.run_tokens.push_back(tokens);
  for (int32_t row = first_row; row < first_row + num_rows; ++row) {
    work.pair_query.push_back(row);
    work.pair_visible.push_back(tokens);
  }
  work.run_pair_begin.push_back(static_cast<int32_t>(work.pair_query.size()));
}

}  // namespace treepo
