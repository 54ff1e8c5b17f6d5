#include "kv/attention_builder.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/error.h"

namespace treepo {
namespace {

using Ints = std::vector<int32_t>;

struct Fixture {
  TreeCache cache{64, 4};
  AttentionBuilder builder{cache};
  TreeAttentionWork work;
  std::vector<int32_t> slots;

  int32_t add(int32_t parent, int32_t used, int32_t tokens) {
    const int32_t id = cache.add(parent, used);
    cache.use(id);
    EXPECT_EQ(cache.append(id, tokens, slots), tokens);
    return id;
  }
  void build(const std::vector<std::pair<int32_t, int32_t>>& queries) {
    builder.clear();
    for (const auto& [entry, visible] : queries) builder.add_query(entry, visible);
    builder.build(work);
    work.check_invariants(static_cast<int32_t>(queries.size()));
  }
};

// The example of kernels/tree_attention.h: a prompt of 3 tokens, two paths below it.
TEST(AttentionBuilder, SharedPrompt) {
  Fixture f;
  const int32_t root = f.add(-1, 0, 3);
  const int32_t left = f.add(root, 3, 2), right = f.add(root, 3, 1);
  f.build({{left, 2}, {right, 1}});
  EXPECT_EQ(f.work.page_tokens, 4);
  EXPECT_EQ(f.work.piece_page, (Ints{0, 1, 2}));
  EXPECT_EQ(f.work.piece_tokens, (Ints{3, 2, 1}));
  EXPECT_EQ(f.work.run_piece_begin, (Ints{0, 1, 2, 3}));
  EXPECT_EQ(f.work.run_tokens, (Ints{3, 2, 1}));
  EXPECT_EQ(f.work.run_pair_begin, (Ints{0, 2, 3, 4}));
  EXPECT_EQ(f.work.pair_query, (Ints{0, 1, 0, 1}));
  EXPECT_EQ(f.work.pair_visible, (Ints{3, 3, 2, 1}));
}

// A chain costs one run of several pieces, whose inner pages may be partly filled.
TEST(AttentionBuilder, AChainIsOneRun) {
  Fixture f;
  const int32_t root = f.add(-1, 0, 5);
  const int32_t middle = f.add(root, 5, 6), last = f.add(middle, 6, 2);
  f.build({{last, 2}});
  EXPECT_EQ(f.work.piece_page, (Ints{0, 1, 2, 3, 4}));
  EXPECT_EQ(f.work.piece_tokens, (Ints{4, 1, 4, 2, 2}));
  EXPECT_EQ(f.work.run_tokens, Ints{13});
  EXPECT_EQ(f.work.pair_visible, Ints{13});
}

// One query leaves the middle segment after 2 tokens, the other after all 6: both see the run of
// root and middle, which cannot be one with what follows.
TEST(AttentionBuilder, ACutInsideASegment) {
  Fixture f;
  const int32_t root = f.add(-1, 0, 1);
  const int32_t middle = f.add(root, 1, 6);
  const int32_t cut = f.add(middle, 2, 3), whole = f.add(middle, 6, 1);
  f.build({{cut, 3}, {whole, 1}});
  EXPECT_EQ(f.work.run_tokens, (Ints{7, 3, 1}));
  EXPECT_EQ(f.work.piece_tokens, (Ints{1, 4, 2, 3, 1}));
  EXPECT_EQ(f.work.pair_query, (Ints{0, 1, 0, 1}));
  EXPECT_EQ(f.work.pair_visible, (Ints{3, 7, 3, 1}));
  // Alone, the query at the cut sees 2 tokens of the middle segment, and all in one run.
  f.build({{cut, 3}});
  EXPECT_EQ(f.work.run_tokens, Ints{6});
  EXPECT_EQ(f.work.piece_tokens, (Ints{1, 2, 3}));
}

// Queries of a prefill see one more key each; where they differ, the run ends.
TEST(AttentionBuilder, Prefill) {
  Fixture f;
  const int32_t root = f.add(-1, 0, 3), child = f.add(root, 3, 2);
  f.build({{root, 1}, {root, 2}, {root, 3}, {child, 1}, {child, 2}});
  EXPECT_EQ(f.work.run_tokens, (Ints{3, 2}));
  EXPECT_EQ(f.work.pair_query, (Ints{0, 1, 2, 3, 4, 3, 4}));
  EXPECT_EQ(f.work.pair_visible, (Ints{1, 2, 3, 3, 3, 1, 2}));
}

TEST(AttentionWork, ChecksItsArrays) {
  Fixture f;
  const int32_t root = f.add(-1, 0, 6);
  f.build({{root, 3}, {root, 6}});
  const auto broken = [&](auto&& change) {
    TreeAttentionWork work = f.work;
    change(work);
    EXPECT_THROW(work.check_invariants(2), CheckFailure);
  };
  EXPECT_THROW(f.work.check_invariants(3), CheckFailure);  // query 2 has no run
  broken([](auto& w) { w.pair_query[1] = 0; });
  broken([](auto& w) { w.pair_query[1] = 2; });
  broken([](auto& w) { w.pair_visible[0] = 0; });
  broken([](auto& w) { w.pair_visible[1] = 7; });
  broken([](auto& w) { w.piece_tokens[0] = 5; });
  broken([](auto& w) { w.piece_tokens[1] = 1; });
  broken([](auto& w) { w.piece_page[1] = -1; });
  broken([](auto& w) { w.run_tokens.push_back(1); });
  broken([](auto& w) { w.run_pair_begin[1] = 1; });
  broken([](auto& w) { w.pair_visible.pop_back(); });
  TreeAttentionWork empty = f.work;
  empty.clear();
  empty.check_invariants(0);
  EXPECT_EQ(empty.num_runs(), 0);
}

// What every query sees, key by key in the order of its path, against a walk over its ancestors;
// and no page is listed for the same queries twice.
TEST(AttentionBuilder, EqualsAWalkOverThePath) {
  std::mt19937 random(9);
  for (int round = 0; round < 400; ++round) {
    TreeCache cache(4000, 1 + static_cast<int32_t>(random() % 5));
    AttentionBuilder builder(cache);
    TreeAttentionWork work;
    std::vector<int32_t> slots, entries;
    std::vector<std::vector<int32_t>> slots_of;
    for (int i = 0; i < 30; ++i) {
      const int32_t parent =
          entries.empty() || random() % 8 == 0 ? -1 : entries[random() % entries.size()];
      const int32_t used =
          parent < 0
              ? 0
              : 1 + static_cast<int32_t>(random() % static_cast<uint32_t>(cache.stored(parent)));
      const int32_t id = cache.add(parent, used);
      cache.use(id);
      slots.clear();
      cache.append(id, 1 + static_cast<int32_t>(random() % 9), slots);
      entries.push_back(id);
      slots_of.push_back(slots);
    }
    for (int repeat = 0; repeat < 3; ++repeat) {
      builder.clear();
      std::vector<std::vector<int32_t>> expected;
      const size_t num_queries = 1 + random() % 20;
      for (size_t q = 0; q < num_queries; ++q) {
        int32_t entry = entries[random() % entries.size()];
        int32_t visible =
            1 + static_cast<int32_t>(random() % static_cast<uint32_t>(cache.stored(entry)));
        builder.add_query(entry, visible);
        std::vector<int32_t> keys;
        for (; entry >= 0; entry = cache.parent(entry)) {
          const auto& own = slots_of[static_cast<size_t>(entry)];
          keys.insert(keys.begin(), own.begin(), own.begin() + visible);
          visible = cache.parent_used_tokens(entry);
        }
        expected.push_back(keys);
      }
      builder.build(work);
      work.check_invariants(static_cast<int32_t>(num_queries));
      std::vector<std::vector<int32_t>> seen(num_queries);
      std::vector<int> listed(static_cast<size_t>(cache.pool().num_pages()));
      for (size_t run = 0; run < static_cast<size_t>(work.num_runs()); ++run) {
        std::vector<int32_t> keys;
        for (int32_t piece = work.run_piece_begin[run]; piece < work.run_piece_begin[run + 1];
             ++piece) {
          const auto p = static_cast<size_t>(piece);
          EXPECT_EQ(++listed[static_cast<size_t>(work.piece_page[p])], 1);
          for (int32_t i = 0; i < work.piece_tokens[p]; ++i) {
            keys.push_back(work.piece_page[p] * cache.page_tokens() + i);
          }
        }
        for (int32_t pair = work.run_pair_begin[run]; pair < work.run_pair_begin[run + 1]; ++pair) {
          const auto p = static_cast<size_t>(pair);
          auto& path = seen[static_cast<size_t>(work.pair_query[p])];
          path.insert(path.end(), keys.begin(), keys.begin() + work.pair_visible[p]);
        }
      }
      EXPECT_EQ(seen, expected);
    }
  }
}

}  // namespace
}  // namespace treepo
