#include "model/greedy_decode.h"

#include <algorithm>

#include "base/arithmetic.h"

namespace treepo {

namespace {

constexpr int32_t kPageTokens = 16;

// Tokens [from, to) of each row; row r has the pages [r * pages_each, …).
void add_row(StepBatch& batch, int32_t row, int32_t pages_each, int32_t from,
             const std::vector<int32_t>& tokens) {
  const auto to = static_cast<int32_t>(tokens.size());
  TreeAttentionWork& work = batch.attention;
  for (int32_t i = from; i < to; ++i) {
    work.pair_query.push_back(batch.num_rows());
    work.pair_visible.push_back(i + 1);
    batch.tokens.push_back(tokens[static_cast<size_t>(i)]);
    batch.positions.push_back(i);
    batch.slots.push_back(row * pages_each * kPageTokens + i);
  }
  for (int32_t first = 0; first < to; first += kPageTokens) {
    work.piece_page.push_back(row * pages_each + first / kPageTokens);
    work.piece_tokens.push_back(std::min(kPageTokens, to - first));
  }
  work.run_piece_begin.push_back(static_cast<int32_t>(work.piece_page.size()));
  work.run_tokens.push_back(to);
  work.run_pair_begin.push_back(static_cast<int32_t>(work.pair_query.size()));
  batch.draws.push_back({.row = batch.num_rows() - 1, .uniform = 0});
}

}  // namespace

GreedyTokens greedy_decode(StepModel& model, const std::vector<std::vector<int32_t>>& prompts,
                           int32_t count) {
  std::vector<std::vector<int32_t>> rows = prompts;
  size_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
  const auto pages_each =
      static_cast<int32_t>(divide_up(static_cast<int64_t>(longest) + count, kPageTokens));
  model.allocate_pages(pages_each * static_cast<int32_t>(rows.size()), kPageTokens);

  GreedyTokens greedy{.tokens = std::vector<std::vector<int32_t>>(rows.size()),
                      .logprobs = std::vector<std::vector<double>>(rows.size())};
  StepBatch batch;
  batch.sampling.temperature = 0;
  std::vector<DrawnToken> drawn;
  for (int32_t step = 0; step < count; ++step) {
    batch.clear();
    batch.attention.page_tokens = kPageTokens;
    for (size_t row = 0; row < rows.size(); ++row) {
      const auto length = static_cast<int32_t>(rows[row].size());
      add_row(batch, static_cast<int32_t>(row), pages_each, step == 0 ? 0 : length - 1, rows[row]);
    }
    model.step(batch, drawn);
    for (size_t row = 0; row < rows.size(); ++row) {
      rows[row].push_back(drawn[row].token);
      greedy.tokens[row].push_back(drawn[row].token);
      greedy.logprobs[row].push_back(drawn[row].logprob);
    }
  }
  return greedy;
}

}  // namespace treepo
