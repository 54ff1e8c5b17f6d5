#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "kernels/sampling.h"
#include "model/step_model.h"

namespace treepo {

// Stands for a model in tests of rollout. It stores (token, position) where a model stores keys and
// values, and reads back from the attention work which tokens each row sees, in order: they must be
// the tokens at positions 0, 1, 2, … up to the row's own. So a wrong slot, page, run or count fails
// at once, or gives logits that differ from those of the true path.
class FakeModel : public StepModel {
 public:
  explicit FakeModel(int32_t vocab_size, int32_t max_positions = 1 << 20)
      : vocab_size_(vocab_size), max_positions_(max_positions) {}

  int32_t vocab_size() const override { return vocab_size_; }
  int32_t max_positions() const override { return max_positions_; }
  int64_t bytes_per_page(int32_t) const override { return (int64_t{1} << 20) / pages_per_mib; }

  void allocate_pages(int32_t num_pages, int32_t page_tokens) override {
    page_tokens_ = page_tokens;
    cells_.assign(static_cast<size_t>(num_pages) * static_cast<size_t>(page_tokens), {});
    pages_allocated = num_pages;
  }

  void step(const StepBatch& batch, std::vector<DrawnToken>& drawn) override {
    store(batch);
    const std::vector<std::vector<int32_t>> paths = visible_paths(batch);
    drawn.clear();
    int32_t last_row = 0;
    for (const StepBatch::Draw& draw : batch.draws) {
      TREEPO_CHECK(draw.row >= last_row && draw.row < batch.num_rows(), "draw from row {}",
                   draw.row);
      last_row = draw.row;
      drawn.push_back(
          draw_next(paths[static_cast<size_t>(draw.row)], batch.sampling, draw.uniform));
    }
    ++steps;
    rows += batch.num_rows();
    most_rows = std::max(most_rows, batch.num_rows());
  }

  int32_t pages_per_mib = 1 << 14;
  int32_t pages_allocated = 0;
  int32_t most_rows = 0;
  int64_t steps = 0, rows = 0, rerun_rows = 0;

 protected:
  // The token that follows `path` (prompt and response).
  virtual DrawnToken draw_next(const std::vector<int32_t>& path, const SamplingParams& sampling,
                               double uniform) = 0;

 private:
  struct Cell {
    int32_t token = -1, position = -1;
  };

  void store(const StepBatch& batch) {
    const auto n = static_cast<size_t>(batch.num_rows());
    TREEPO_CHECK(n > 0 && batch.positions.size() == n && batch.slots.size() == n,
                 "{} tokens, {} positions, {} slots", n, batch.positions.size(),
                 batch.slots.size());
    TREEPO_CHECK(batch.attention.page_tokens == page_tokens_, "pages of {} tokens",
                 batch.attention.page_tokens);
    batch.attention.check_invariants(batch.num_rows());
    for (size_t row = 0; row < n; ++row) {
      if (batch.slots[row] < 0) {
        ++rerun_rows;
      } else {
        cells_.at(static_cast<size_t>(batch.slots[row])) = {batch.tokens[row],
                                                            batch.positions[row]};
      }
    }
  }

  std::vector<std::vector<int32_t>> visible_paths(const StepBatch& batch) const {
    const TreeAttentionWork& work = batch.attention;
    std::vector<std::vector<int32_t>> paths(static_cast<size_t>(batch.num_rows()));
    for (size_t run = 0; run < static_cast<size_t>(work.num_runs()); ++run) {
      const std::vector<Cell> keys = keys_of_run(work, run);
      for (int32_t pair = work.run_pair_begin[run]; pair < work.run_pair_begin[run + 1]; ++pair) {
        const auto p = static_cast<size_t>(pair);
        auto& path = paths[static_cast<size_t>(work.pair_query[p])];
        for (int32_t k = 0; k < work.pair_visible[p]; ++k) {
          const Cell& key = keys[static_cast<size_t>(k)];
          TREEPO_CHECK(key.position == static_cast<int32_t>(path.size()),
                       "query {} sees position {} after {} keys", work.pair_query[p], key.position,
                       path.size());
          path.push_back(key.token);
        }
      }
    }
    for (size_t row = 0; row < paths.size(); ++row) {
      TREEPO_CHECK(static_cast<int32_t>(paths[row].size()) == batch.positions[row] + 1 &&
                       paths[row].back() == batch.tokens[row],
                   "row {} at position {} sees {} keys", row, batch.positions[row],
                   paths[row].size());
    }
    return paths;
  }

  std::vector<Cell> keys_of_run(const TreeAttentionWork& work, size_t run) const {
    std::vector<Cell> keys;
    for (int32_t piece = work.run_piece_begin[run]; piece < work.run_piece_begin[run + 1];
         ++piece) {
      const auto p = static_cast<size_t>(piece);
      const auto first =
          static_cast<size_t>(work.piece_page[p]) * static_cast<size_t>(page_tokens_);
      for (size_t i = 0; i < static_cast<size_t>(work.piece_tokens[p]); ++i) {
        keys.push_back(cells_.at(first + i));
      }
    }
    return keys;
  }

  int32_t vocab_size_, max_positions_;
  int32_t page_tokens_ = 0;
  std::vector<Cell> cells_;
};

// Logits as a function of the tokens of the path.
class LogitModel : public FakeModel {
 public:
  using Logits = std::function<std::vector<double>(const std::vector<int32_t>& path)>;

  LogitModel(int32_t vocab, Logits logits, int32_t positions = 1 << 20)
      : FakeModel(vocab, positions), logits_(std::move(logits)) {}

  DrawnToken draw_next(const std::vector<int32_t>& path, const SamplingParams& sampling,
                       double uniform) override {
    const std::vector<double> logits = logits_(path);
    return draw_token(logits.data(), vocab_size(), sampling, uniform);
  }

 private:
  Logits logits_;
};

// Letters as tokens. A script says which segments follow a text: the first draw after that text
// begins the first of its segments, the next draw the second, and so on.
class ScriptedModel : public FakeModel {
 public:
  struct Line {
    std::string after;  // prompt and response before it
    std::string segment;
  };

  explicit ScriptedModel(const std::vector<Line>& script) : FakeModel(128) {
    for (const Line& line : script) {
      std::string text = line.after;
      for (const char letter : line.segment) {
        next_[text].push_back(letter);
        text += letter;
      }
    }
  }

  // Letters of the script that nobody asked for.
  size_t unused() const {
    size_t count = 0;
    for (const auto& [text, letters] : next_) count += letters.size();
    return count;
  }

 private:
  DrawnToken draw_next(const std::vector<int32_t>& path, const SamplingParams&, double) override {
    const std::string text(path.begin(), path.end());
    std::string& letters = next_[text];
    TREEPO_CHECK(!letters.empty(), "the script has nothing (more) after \"{}\"", text);
    const char letter = letters.front();
    letters.erase(0, 1);
    return {.token = letter, .logprob = -0.5, .entropy = 1.0};
  }

  std::map<std::string, std::string> next_;
};

inline uint64_t hash_path(const std::vector<int32_t>& path) {
  uint64_t h = 1469598103934665603ull;
  for (const int32_t token : path) {
    h = (h ^ static_cast<uint64_t>(token)) * 1099511628211ull;
    h ^= h >> 29;
  }
  return h;
}

// Logits in [-2, 2] that depend on every token of the path.
inline std::vector<double> hash_logits(const std::vector<int32_t>& path, int32_t vocab_size) {
  uint64_t h = hash_path(path);
  std::vector<double> logits(static_cast<size_t>(vocab_size));
  for (double& logit : logits) {
    h = h * 6364136223846793005ull + 1442695040888963407ull;
    logit = static_cast<double>(h >> 40) / static_cast<double>(1 << 24) * 4 - 2;
  }
  return logits;
}

}  // namespace treepo
