#include "kv/attention_builder.h"

#include <algorithm>

#include "base/error.h"

namespace treepo {

void AttentionBuilder::clear() {
  queries_.clear();
}

void AttentionBuilder::add_query(int32_t entry, int32_t visible) {
  queries_.push_back({entry, visible});
}

void AttentionBuilder::build(TreeAttentionWork& work) {
  work.clear();
  work.page_tokens = cache_.page_tokens();
  ++step_;
  order_.clear();
  seen_.resize(static_cast<size_t>(cache_.max_entries()));
  for (const Query& query : queries_) see(query);
  join_chains();
  list_runs(work);
  list_pairs(work);
}

// Counts the query in all entries on its path.
void AttentionBuilder::see(const Query& query) {
  const size_t first_new = order_.size();
  int32_t visible = query.visible;
  for (int32_t entry = query.entry; entry >= 0;) {
    Seen& seen = seen_[static_cast<size_t>(entry)];
    if (seen.step != step_) {
      seen = {.step = step_,
              .most = visible,
              .parent = cache_.parent(entry),
              .parent_used_tokens = cache_.parent_used_tokens(entry)};
      order_.push_back(entry);
    }
    ++seen.queries;
    seen.most = std::max(seen.most, visible);
    visible = seen.parent_used_tokens;
    entry = seen.parent;
  }
  std::reverse(order_.begin() + static_cast<std::ptrdiff_t>(first_new), order_.end());
}

// An entry continues its parent's run if the same queries see both. Whoever sees an entry sees its
// parent, so equal counts mean equal sets; and then all see equally much of the parent.
void AttentionBuilder::join_chains() {
  for (const int32_t entry : order_) {
    Seen& seen = seen_[static_cast<size_t>(entry)];
    if (seen.parent < 0) {
      seen.run = 0;
      continue;
    }
    Seen& above = seen_[static_cast<size_t>(seen.parent)];
    if (above.queries == seen.queries) {
      above.only_child = entry;
    } else {
      seen.run = 0;
    }
  }
}

void AttentionBuilder::list_runs(TreeAttentionWork& work) {
  next_pair_.clear();
  int32_t num_pairs = 0;
  for (const int32_t head : order_) {
    Seen& first = seen_[static_cast<size_t>(head)];
    if (first.run < 0) continue;
    first.run = work.num_runs();
    int32_t run_tokens = 0;
    for (int32_t entry = head; entry >= 0;) {
      const Seen& seen = seen_[static_cast<size_t>(entry)];
      const int32_t pages = cache_.pages_for(seen.most);
      const int32_t* first_page = cache_.pages(entry).data();
      work.piece_page.insert(work.piece_page.end(), first_page, first_page + pages);
      work.piece_tokens.insert(work.piece_tokens.end(), static_cast<size_t>(pages),
                               work.page_tokens);
      work.piece_tokens.back() = seen.most - (pages - 1) * work.page_tokens;
      run_tokens += seen.most;
      entry = seen.only_child;
    }
    work.run_tokens.push_back(run_tokens);
    work.run_piece_begin.push_back(static_cast<int32_t>(work.piece_page.size()));
    next_pair_.push_back(num_pairs);
    num_pairs += first.queries;
    work.run_pair_begin.push_back(num_pairs);
  }
  work.pair_query.resize(static_cast<size_t>(num_pairs));
  work.pair_visible.resize(static_cast<size_t>(num_pairs));
}

void AttentionBuilder::list_pairs(TreeAttentionWork& work) {
  for (size_t row = 0; row < queries_.size(); ++row) {
    int32_t visible = queries_[row].visible;
    int32_t visible_in_run = 0;
    for (int32_t entry = queries_[row].entry; entry >= 0;) {
      const Seen& seen = seen_[static_cast<size_t>(entry)];
      visible_in_run += visible;
      if (seen.run >= 0) {
        const auto pair = static_cast<size_t>(next_pair_[static_cast<size_t>(seen.run)]++);
        work.pair_query[pair] = static_cast<int32_t>(row);
        work.pair_visible[pair] = visible_in_run;
        visible_in_run = 0;
      }
      visible = seen.parent_used_tokens;
      entry = seen.parent;
    }
  }
}

}  // namespace treepo
