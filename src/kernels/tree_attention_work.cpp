#include "base/error.h"
#include "kernels/tree_attention.h"

namespace treepo {

void TreeAttentionWork::clear() {
  piece_page.clear();
  piece_tokens.clear();
  run_piece_begin.assign(1, 0);
  run_tokens.clear();
  run_pair_begin.assign(1, 0);
  pair_query.clear();
  pair_visible.clear();
}

void TreeAttentionWork::check_invariants(int32_t num_queries) const {
  const size_t runs = run_tokens.size();
  TREEPO_CHECK(run_piece_begin.size() == runs + 1 && run_pair_begin.size() == runs + 1,
               "{} runs, but {} and {} begins", runs, run_piece_begin.size(),
               run_pair_begin.size());
  TREEPO_CHECK(run_piece_begin.front() == 0 && run_pair_begin.front() == 0,
               "the first run does not begin at 0");
  TREEPO_CHECK(piece_page.size() == piece_tokens.size() &&
                   static_cast<size_t>(run_piece_begin.back()) == piece_page.size(),
               "{} pages, {} counts, {} pieces in runs", piece_page.size(), piece_tokens.size(),
               run_piece_begin.back());
  TREEPO_CHECK(pair_query.size() == pair_visible.size() &&
                   static_cast<size_t>(run_pair_begin.back()) == pair_query.size(),
               "{} queries, {} counts, {} pairs in runs", pair_query.size(), pair_visible.size(),
               run_pair_begin.back());
  std::vector<bool> served(static_cast<size_t>(num_queries));
  for (size_t run = 0; run < runs; ++run) {
    TREEPO_CHECK(run_piece_begin[run] < run_piece_begin[run + 1] &&
                     run_pair_begin[run] < run_pair_begin[run + 1],
                 "run {} has no pieces or no queries", run);
    int64_t tokens = 0;
    for (auto p = static_cast<size_t>(run_piece_begin[run]);
         p < static_cast<size_t>(run_piece_begin[run + 1]); ++p) {
      TREEPO_CHECK(piece_page[p] >= 0 && piece_tokens[p] >= 1 && piece_tokens[p] <= page_tokens,
                   "piece {}: {} tokens of page {}", p, piece_tokens[p], piece_page[p]);
      tokens += piece_tokens[p];
    }
    TREEPO_CHECK(tokens == run_tokens[run], "run {} has {} tokens, its pieces {}", run,
                 run_tokens[run], tokens);
    int32_t last_query = -1;
    for (auto p = static_cast<size_t>(run_pair_begin[run]);
         p < static_cast<size_t>(run_pair_begin[run + 1]); ++p) {
      TREEPO_CHECK(pair_query[p] > last_query && pair_query[p] < num_queries,
                   "run {} serves query {} after {}", run, pair_query[p], last_query);
      TREEPO_CHECK(pair_visible[p] >= 1 && pair_visible[p] <= run_tokens[run],
                   "query {} sees {} of the {} keys of run {}", pair_query[p], pair_visible[p],
                   run_tokens[run], run);
      last_query = pair_query[p];
      served[static_cast<size_t>(last_query)] = true;
    }
  }
  for (size_t query = 0; query < served.size(); ++query) {
    TREEPO_CHECK(served[query], "query {} has no run", query);
  }
}

}  // namespace treepo
