#include "rollout/scheduler.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

#include "rollout/fake_model.h"
#include "rollout/live_tree.h"
#include "tree/budget.h"

namespace treepo {
namespace {

constexpr int32_t kVocab = 8;

// The engine's loop by hand, so that tests see the scheduler between its phases.
struct Loop {
  Loop(const RolloutSettings& options, int32_t num_pages)
      : settings(options),
        rules(make_stop_rules(settings.growth, settings.stop)),
        cache(num_pages, static_cast<int32_t>(settings.engine.page_tokens)),
        scheduler(settings, {}, cache),
        model(kVocab, [](const std::vector<int32_t>& path) { return hash_logits(path, kVocab); }) {
    model.allocate_pages(num_pages, cache.page_tokens());
  }

  void add(const Query& query) {
    trees.push_back(
        std::make_unique<LiveTree>(trees.size(), query, settings, rules, GrowthFacts{}, cache));
  }

  void step() {
    scheduler.choose(trees);
    cache.check_invariants();
    batch.clear();
    scheduler.fill(batch);
    cache.check_invariants();
    batch.attention.check_invariants(batch.num_rows());
    model.step(batch, drawn);
    for (const auto& scheduled : scheduler.scheduled()) {
      if (scheduled.first_draw < 0) continue;
      scheduled.tree->take(scheduled.front_index, &drawn[static_cast<size_t>(scheduled.first_draw)],
                           {});
    }
    for (const auto& tree : trees) tree->settle();
    for (const auto& tree : trees) {
      if (tree->at_barrier()) cross_barrier(*tree);
    }
    cache.check_invariants();
    for (const auto& tree : trees) tree->tree().check_invariants();
    std::erase_if(trees, [](const auto& tree) { return tree->finished(); });
    cache.check_invariants();
  }

  // No more paths than admission reckons with, but for fallback.
  void cross_barrier(LiveTree& tree) {
    const int32_t bound = largest_next_budget(settings.growth, {}, tree.round_paths(),
                                              static_cast<int32_t>(tree.tree().leaves().size()));
    const int32_t nodes = tree.tree().num_nodes();
    tree.cross_barrier({});
    const bool grown = tree.tree().num_nodes() > nodes;
    if (grown && !tree.tree().node(nodes).fallback) {
      EXPECT_LE(tree.active_paths(), bound);
    }
  }

  RolloutSettings settings;
  StopRules rules;
  TreeCache cache;
  Scheduler scheduler;
  LiveTrees trees;
  LogitModel model;
  StepBatch batch;
  std::vector<DrawnToken> drawn;
};

RolloutSettings small_settings() {
  RolloutSettings settings;
  settings.growth = {.width = 6, .depth = 3, .segment_tokens = 4};
  settings.engine = {.max_rows = 8, .max_step_tokens = 16, .page_tokens = 3};
  settings.eos_ids = {0};
  return settings;
}

std::vector<Query> queries_of(const std::vector<size_t>& prompt_lengths) {
  std::vector<Query> queries(prompt_lengths.size());
  for (size_t i = 0; i < queries.size(); ++i) {
    queries[i].id = i;
    for (size_t k = 0; k < prompt_lengths[i]; ++k) {
      queries[i].prompt.push_back(static_cast<int32_t>((i + k) % kVocab));
    }
  }
  return queries;
}

// A prompt longer than a step is fed in pieces, and draws only after the last of them.
TEST(Scheduler, FeedsLongPromptsInPieces) {
  const std::vector<Query> queries = queries_of({40});
  Loop loop(small_settings(), 100);
  loop.add(queries[0]);
  std::vector<int32_t> rows;
  std::vector<size_t> draws;
  for (int i = 0; i < 3; ++i) {
    loop.step();
    rows.push_back(loop.batch.num_rows());
    draws.push_back(loop.batch.draws.size());
  }
  EXPECT_EQ(rows, (std::vector<int32_t>{16, 16, 8}));
  EXPECT_EQ(draws, (std::vector<size_t>{0, 0, 2}));  // the first split from one row
  EXPECT_EQ(loop.batch.draws[0].row, 7);
  EXPECT_EQ(loop.batch.draws[1].row, 7);
  EXPECT_NE(loop.batch.draws[0].uniform, loop.batch.draws[1].uniform);
}

// While one tree prefills, the paths of others keep decoding: each front gets at least one token.
TEST(Scheduler, PrefillDoesNotHoldUpDecoding) {
  const std::vector<Query> queries = queries_of({60, 2});
  Loop loop(small_settings(), 100);
  loop.add(queries[1]);
  loop.step();
  loop.add(queries[0]);
  loop.step();
  EXPECT_EQ(loop.batch.draws.size(), 2u);
  EXPECT_EQ(loop.batch.num_rows(), 16);
}

// Two prompts longer than a step and a path that decodes: each front gets a token, the rest of the
// step goes to the older prompt, and what that leaves to the younger one.
TEST(Scheduler, LongPromptsShareStepsWithDecoding) {
  RolloutSettings settings = small_settings();
  settings.growth.first_split_min = settings.growth.first_split_max = 2;
  settings.growth.segment_tokens = 8;
  settings.eos_ids.clear();
  const std::vector<Query> queries = queries_of({2, 30, 20});
  Loop loop(settings, 100);
  loop.add(queries[0]);
  loop.step();
  loop.add(queries[1]);
  loop.add(queries[2]);
  struct Rows {
    size_t decoded, older, younger, draws;
    bool operator==(const Rows&) const = default;
  };
  std::vector<Rows> rows;
  for (int i = 0; i < 3; ++i) {
    loop.step();
    Rows now = {.decoded = 0, .older = 0, .younger = 0, .draws = loop.batch.draws.size()};
    for (const auto& scheduled : loop.scheduler.scheduled())
      now.decoded += scheduled.tree == loop.trees[0].get();
    const auto& position = loop.batch.positions;
    size_t at = now.decoded;
    const size_t older_begin = at;
    for (++at; at < position.size() && position[at] == position[at - 1] + 1; ++at) {
    }
    now.older = at - older_begin;
    now.younger = position.size() - at;
    rows.push_back(now);
  }
  EXPECT_EQ(rows, (std::vector<Rows>{{.decoded = 2, .older = 13, .younger = 1, .draws = 2},
                                     {.decoded = 2, .older = 13, .younger = 1, .draws = 2},
                                     {.decoded = 2, .older = 4, .younger = 10, .draws = 4}}));
}

TEST(Scheduler, OlderTreesGetTheRows) {
  RolloutSettings settings = small_settings();
  settings.engine.max_rows = 2;
  settings.growth.first_split_min = settings.growth.first_split_max = 2;
  const std::vector<Query> queries = queries_of({2, 2});
  Loop loop(settings, 100);
  loop.add(queries[0]);
  loop.add(queries[1]);
  loop.step();  // both prompts
  EXPECT_EQ(loop.scheduler.scheduled().size(), 2u);
  loop.step();  // the two paths of the first tree
  ASSERT_EQ(loop.scheduler.scheduled().size(), 2u);
  EXPECT_EQ(loop.scheduler.scheduled()[0].tree, loop.trees[0].get());
  EXPECT_EQ(loop.scheduler.scheduled()[1].tree, loop.trees[0].get());
  EXPECT_EQ(loop.trees[1]->running_fronts(), 0);
}

// A new tree enters only while rows are free and its pages are at hand.
TEST(Scheduler, AdmitsByRowsAndPages) {
  const std::vector<Query> queries = queries_of({9, 9, 9});
  RolloutSettings settings = small_settings();
  settings.eos_ids.clear();
  Loop loop(settings, 24);
  EXPECT_TRUE(loop.scheduler.may_admit(loop.trees, 1000));  // the first always
  loop.add(queries[0]);
  // The prompt takes 3 of 24 pages; the next segments of the 2 paths there are and of 2 new ones
  // can take 2 pages for each of 2 children: 16. That leaves 5.
  loop.step();
  loop.scheduler.choose(loop.trees);
  EXPECT_TRUE(loop.scheduler.may_admit(loop.trees, 15));
  EXPECT_FALSE(loop.scheduler.may_admit(loop.trees, 16));
  for (size_t i = 1; i < 4; ++i) loop.add(queries[1]);
  EXPECT_FALSE(loop.scheduler.may_admit(loop.trees, 1));  // 8 paths for 8 rows
}

// What each budget may branch into: of 57 pages that the prompt of the first tree leaves, all but
// those of next segments, 2 for each path.
TEST(Scheduler, AdmitsByWhatTheBudgetMayGive) {
  struct Case {
    BudgetPolicy budget;
    int64_t width, next_paths;  // of the tree that there is and of the new one, 3 paths each
  };
  for (const Case& c :
       {Case{BudgetPolicy::transfer, 12, 6 + 6},  // the branching factor is 2
        Case{BudgetPolicy::fixed, 12, 6 + 6}, Case{BudgetPolicy::random, 12, 9 + 9},  // 3 is drawn
        Case{BudgetPolicy::tokens_per_step, 12, 3 + 3}, Case{BudgetPolicy::random, 7, 7 + 7}}) {
    RolloutSettings settings = small_settings();
    settings.growth = {.width = c.width,
                       .depth = 3,
                       .segment_tokens = 4,
                       .first_split_min = 3,
                       .first_split_max = 3,
                       .budget = c.budget,
                       .branching_min = 3,
                       .branching_max = 3,
                       .tokens_per_step = 12};
    settings.eos_ids.clear();
    const std::vector<Query> queries = queries_of({9});
    Loop loop(settings, 60);
    loop.add(queries[0]);
    loop.step();
    loop.scheduler.choose(loop.trees);
    const auto prompt = static_cast<size_t>(3 * (57 - 2 * c.next_paths));
    EXPECT_TRUE(loop.scheduler.may_admit(loop.trees, prompt));
    EXPECT_FALSE(loop.scheduler.may_admit(loop.trees, prompt + 1));
  }
}

// Random batches under every kind of pressure: invariants of trees, cache, pool and attention work
// hold between all phases; in the end no page and no entry is left.
TEST(Scheduler, KeepsItsInvariantsUnderPressure) {
  std::mt19937 random(4);
  const auto pick = [&random](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
  };
  int64_t suspensions = 0, evictions = 0, steps = 0;
  for (int round = 0; round < 200; ++round) {
    RolloutSettings settings;
    settings.growth = {.width = pick(1, 8),
                       .depth = pick(1, 4),
                       .segment_tokens = pick(1, 6),
                       .budget = static_cast<BudgetPolicy>(pick(0, 3)),
                       .branching_max = pick(2, 5),
                       .tokens_per_step = pick(1, 40),
                       .fallback_window = pick(0, 5)};
    settings.engine = {
        .max_rows = pick(1, 20), .max_step_tokens = pick(1, 30), .page_tokens = pick(1, 5)};
    settings.eos_ids = {0};
    settings.seed = random();
    std::vector<size_t> lengths(static_cast<size_t>(pick(1, 8)));
    for (size_t& length : lengths) length = static_cast<size_t>(pick(1, 12));
    const std::vector<Query> queries = queries_of(lengths);
    const int64_t pages = 12 + settings.growth.depth * settings.growth.segment_tokens + pick(0, 30);
    Loop loop(settings, static_cast<int32_t>(pages));
    for (const Query& query : queries) loop.add(query);  // more than it would admit
    while (!loop.trees.empty()) {
      loop.step();
      ++steps;
      ASSERT_LE(loop.batch.num_rows(), settings.engine.max_step_tokens);
      ASSERT_LE(static_cast<int64_t>(loop.scheduler.scheduled().size()), settings.engine.max_rows);
    }
    EXPECT_EQ(loop.cache.pool().num_free(), loop.cache.pool().num_pages());
    EXPECT_EQ(loop.cache.num_entries(), 0);
    suspensions += loop.scheduler.suspensions();
    evictions += loop.scheduler.evicted_entries();
  }
  EXPECT_GT(steps, 1000);
  EXPECT_GT(suspensions, 50);
  EXPECT_GT(evictions, 100);
}

}  // namespace
}  // namespace treepo
