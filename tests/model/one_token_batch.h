#pragma once

#include <cstdint>

#include "model/step_model.h"

namespace treepo {

// A step of one row, the token 5 at position 0, which sees itself alone: the first slot of `page`.
// Nothing is drawn.
inline StepBatch one_token_batch(int32_t page_tokens = 4, int32_t page = 0) {
  StepBatch batch;
  batch.attention = {.page_tokens = page_tokens,
                     .piece_page = {page},
                     .piece_tokens = {1},
                     .run_piece_begin = {0, 1},
                     .run_tokens = {1},
                     .run_pair_begin = {0, 1},
                     .pair_query = {0},
                     .pair_visible = {1}};
  batch.tokens = {5};
  batch.positions = {0};
  batch.slots = {page * page_tokens};
  return batch;
}

}  // namespace treepo
