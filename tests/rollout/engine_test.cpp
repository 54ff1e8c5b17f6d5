#include "rollout/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "rollout/fake_model.h"
#include "rollout/reference_rollout.h"

namespace treepo {
namespace {

constexpr int32_t kVocab = 12;

using Ints = std::vector<int32_t>;

std::vector<double> logits_of(const std::vector<int32_t>& path) {
  return hash_logits(path, kVocab);
}

void expect_same_tree(const SearchTree& a, const SearchTree& b) {
  ASSERT_EQ(a.num_nodes(), b.num_nodes());
  for (int32_t id = 0; id < a.num_nodes(); ++id) {
    EXPECT_EQ(a.node(id).parent, b.node(id).parent);
    EXPECT_EQ(a.node(id).parent_used_tokens, b.node(id).parent_used_tokens);
    EXPECT_EQ(a.node(id).stop, b.node(id).stop);
    EXPECT_EQ(a.node(id).discarded, b.node(id).discarded);
    const auto same = [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); };
    EXPECT_TRUE(same(a.node(id).score, b.node(id).score)) << "node " << id;
    EXPECT_TRUE(same(a.node(id).next_entropy, b.node(id).next_entropy)) << "node " << id;
    EXPECT_TRUE(std::ranges::equal(a.tokens(id), b.tokens(id))) << "node " << id;
    EXPECT_TRUE(std::ranges::equal(a.logprobs(id), b.logprobs(id))) << "node " << id;
    EXPECT_TRUE(std::ranges::equal(a.entropies(id), b.entropies(id))) << "node " << id;
  }
  EXPECT_EQ(a.leaves(), b.leaves());
}

std::vector<Query> random_queries(std::mt19937& random, size_t count) {
  std::vector<Query> queries(count);
  for (size_t i = 0; i < count; ++i) {
    queries[i].id = 100 + i;
    queries[i].visit = random() % 3;
    queries[i].prompt.resize(1 + random() % 20);
    for (int32_t& token : queries[i].prompt) token = static_cast<int32_t>(random() % kVocab);
  }
  return queries;
}

int64_t pick(std::mt19937& random, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
}

template <typename E>
E pick_enum(std::mt19937& random) {
  return static_cast<E>(pick(random, 0, static_cast<int64_t>(kEnumNames<E>.size()) - 1));
}

void pick_policies(std::mt19937& random, GrowthOptions& g) {
  g.budget = pick_enum<BudgetPolicy>(random);
  g.branching_max = pick(random, 2, 4);
  g.tokens_per_step = pick(random, 1, 300);
  g.limit = pick_enum<WidthLimit>(random);
  g.token_budget = pick(random, 1, 200);
  g.width_min = pick(random, 1, 6);
  g.divergence = pick_enum<BudgetSplit>(random);
  g.divergence_schedule = pick_enum<TemperatureSchedule>(random);
  g.divergence_temperature = 0.25 * static_cast<double>(pick(random, 1, 8));
  g.prune = pick_enum<PrunePolicy>(random);
  g.prune_share = 0.1 * static_cast<double>(pick(random, 0, 9));
  g.train_pruned = pick(random, 0, 1) == 0;
  g.fallback = pick_enum<FallbackPolicy>(random);
  g.fallback_from = pick_enum<FallbackFrom>(random);
  g.fallback_block_tokens = pick(random, 1, 9);
  g.fallback_copies = pick(random, 0, 3);
  g.fallback_max_rounds = pick(random, 0, 3);
}

// What a sample depends on.
RolloutSettings random_settings(std::mt19937& random) {
  RolloutSettings s;
  s.growth.width = pick(random, 1, 12);
  s.growth.depth = pick(random, 1, 6);
  s.growth.segment_tokens = pick(random, 1, 7);
  s.growth.branching_factor = pick(random, 1, 3);
  s.growth.first_split_min = pick(random, 1, 3);
  s.growth.first_split_max = s.growth.first_split_min + pick(random, 0, 3);
  s.growth.sequential = pick(random, 0, 4) == 0;
  s.growth.fallback = pick(random, 0, 3) == 0 ? FallbackPolicy::none : FallbackPolicy::random;
  s.growth.fallback_window = pick(random, 0, 9);
  s.growth.fallback_max_windows = pick(random, 0, 2);
  if (pick(random, 0, 1) == 0) pick_policies(random, s.growth);
  s.training_share = 0.25 * static_cast<double>(pick(random, 0, 4));
  s.stop.response_tokens = pick(random, 0, 2) == 0 ? pick(random, 1, 30) : 0;
  s.stop.min_response_tokens = pick(random, 0, 3) == 0 ? pick(random, 1, 10) : 0;
  if (pick(random, 0, 2) == 0) s.stop.answer = pick(random, 0, 1) ? "boxed" : "boxed_with_eos";
  s.stop.repetition = pick(random, 0, 2) == 0;
  s.stop.repetition_first = pick(random, 0, 1) == 0;
  if (pick(random, 0, 3) == 0) s.stop.stop_strings = {"stop"};
  s.sampling.temperature =
      pick(random, 0, 5) == 0 ? 0.0 : 0.5 + 0.25 * static_cast<double>(pick(random, 0, 4));
  s.sampling.top_k = pick(random, 0, 2) == 0 ? pick(random, 1, 6) : 0;
  s.eos_ids = {0, kVocab - 1};
  s.seed = random();
  return s;
}

// What a sample must not depend on.
EngineOptions random_engine_options(std::mt19937& random) {
  return {.max_rows = pick(random, 1, 40),
          .max_step_tokens = pick(random, 1, 80),
          .page_tokens = pick(random, 1, 9),
          .cache_mib = 1};
}

// Facts that depend on the tokens alone, as text would.
RolloutCallbacks token_callbacks() {
  RolloutCallbacks callbacks;
  callbacks.judge_segment = [](const Query&, const SearchTree& tree, int32_t node) {
    const auto tokens = tree.tokens(node);
    return SegmentFacts{.answer = std::ranges::count(tokens, 3) > 0,
                        .repetition = std::ranges::count(tokens, 4) > 1};
  };
  callbacks.ends_with_stop_string = [](const Query&, const SearchTree& tree, int32_t node) {
    const std::vector<int32_t> response = tree.response(node);
    return response.size() >= 2 && response.back() == 5 && response[response.size() - 2] == 6;
  };
  callbacks.score_leaves = [](size_t, const Query&, const SearchTree& tree,
                              std::span<const int32_t> leaves) {
    std::vector<double> scores;
    for (const int32_t leaf : leaves) scores.push_back(tree.response(leaf).front() % 2);
    return scores;
  };
  return callbacks;
}

// The smallest cache that the engine accepts for these queries: fewer pages are an error.
int32_t smallest_cache(const std::vector<Query>& queries, const RolloutSettings& settings) {
  const int64_t page = settings.engine.page_tokens;
  const auto up = [&](int64_t tokens) { return (tokens + page - 1) / page; };
  const StopRules rules = make_stop_rules(settings.growth, settings.stop);
  int64_t most = 0;
  for (const Query& query : queries) {
    const auto prompt = static_cast<int64_t>(query.prompt.size());
    most = std::max(most, up(prompt) + std::min(rules.depth * up(rules.segment_tokens),
                                                rules.response_tokens / page + rules.depth));
  }
  return static_cast<int32_t>(most);
}

// Trees depend on neither rows, step size, pages, cache size (down to one path) nor neighbours:
// they are those of a twin that has no batch and no cache at all.
TEST(RolloutEngine, EqualsTheReferenceWhateverTheBatchAndTheCache) {
  std::mt19937 random(7);
  int64_t suspensions = 0, evictions = 0, waits_for_rows = 0, inside = 0, discarded = 0;
  int64_t entropies = 0, scores = 0, pruned = 0;
  for (int round = 0; round < 1000; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    RolloutSettings settings = random_settings(random);
    settings.engine = random_engine_options(random);
    const std::vector<Query> queries = random_queries(random, 1 + random() % 12);
    LogitModel model(kVocab, logits_of);
    if (round % 2 == 0) {
      const int32_t smallest = smallest_cache(queries, settings);
      model.pages_per_mib = smallest + static_cast<int32_t>(pick(random, 0, smallest * 2));
    }
    RolloutEngine engine(model, settings);
    const RolloutCallbacks callbacks = token_callbacks();
    const std::vector<SearchTree> trees = engine.run(queries, callbacks);
    ASSERT_EQ(trees.size(), queries.size());
    int64_t unique = 0;
    for (size_t i = 0; i < queries.size(); ++i) {
      trees[i].check_invariants();
      const auto num_queries = static_cast<int64_t>(queries.size());
      expect_same_tree(trees[i],
                       reference_rollout(queries[i], settings, logits_of, callbacks, num_queries));
      unique += trees[i].unique_tokens();
      for (int32_t id = 1; id < trees[i].num_nodes(); ++id) {
        const TreeNode& node = trees[i].node(id);
        inside += node.parent_used_tokens < trees[i].node(node.parent).num_tokens;
        entropies += !std::isnan(node.next_entropy);
        scores += !std::isnan(node.score);
      }
    }
    if (HasFailure()) return;
    EXPECT_EQ(engine.stats().drawn_tokens, unique);
    pruned += engine.stats().pruned_paths;
    EXPECT_LE(model.most_rows, settings.engine.max_step_tokens);
    suspensions += engine.stats().suspensions;
    evictions += engine.stats().evicted_entries;
    discarded += engine.stats().discarded_paths;
    waits_for_rows += settings.engine.max_rows < settings.growth.width;
  }
  // The cases that matter did occur.
  EXPECT_GT(suspensions, 100);
  EXPECT_GT(evictions, 100);
  EXPECT_GT(waits_for_rows, 10);
  EXPECT_GT(inside, 100);
  EXPECT_GT(discarded, 100);
  EXPECT_GT(entropies, 100);
  EXPECT_GT(scores, 100);
  EXPECT_GT(pruned, 100);
}

// Scores that are waited for: trees are the same, others are decoded in the meantime.
TEST(RolloutEngine, TreesWaitForScoresAndOthersGoOn) {
  std::mt19937 random(17);
  int64_t waited_for = 0, decoded_meanwhile = 0, most_steps = 0;
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    RolloutSettings settings = random_settings(random);
    pick_policies(random, settings.growth);
    settings.growth.sequential = false;
    settings.growth.divergence = round % 2 == 0 ? BudgetSplit::low_value : BudgetSplit::high_value;
    settings.engine = random_engine_options(random);
    const std::vector<Query> queries = random_queries(random, 1 + random() % 12);
    LogitModel model(kVocab, logits_of);
    const RolloutCallbacks direct = token_callbacks();
    RolloutCallbacks late = direct;
    RolloutEngine engine(model, settings);
    int waiting = 0;
    late.score_leaves = [&](size_t index, const Query& query, const SearchTree& tree,
                            std::span<const int32_t> leaves) {
      LeafScores known = direct.score_leaves(index, query, tree, leaves);
      if (random() % 4 == 0) return known;
      ++waiting;
      ++waited_for;
      return LeafScores([&, scores = known.wait(), asked_at = engine.stats().steps] {
        --waiting;
        most_steps = std::max(most_steps, engine.stats().steps - asked_at);
        return scores;
      });
    };
    int64_t drawn_before = 0;
    late.progress = [&](const RolloutProgress& at) {
      decoded_meanwhile += waiting > 0 && at.drawn_tokens > drawn_before;
      drawn_before = at.drawn_tokens;
    };
    const std::vector<SearchTree> trees = engine.run(queries, late);
    for (size_t i = 0; i < queries.size(); ++i) {
      expect_same_tree(trees[i], reference_rollout(queries[i], settings, logits_of, direct,
                                                   static_cast<int64_t>(queries.size())));
    }
    EXPECT_EQ(waiting, 0);
    if (HasFailure()) return;
  }
  EXPECT_GT(waited_for, 100);
  EXPECT_GT(decoded_meanwhile, 100);
  EXPECT_EQ(most_steps, 1);  // segments are short
}

// Of long segments the wait is several steps, unless there is nothing else to decode.
TEST(RolloutEngine, TheWaitForScoresIsAShareOfASegment) {
  RolloutSettings settings;
  settings.growth = {.width = 4, .depth = 4, .segment_tokens = 64};
  settings.growth.divergence = BudgetSplit::low_value;
  settings.eos_ids = {0};
  settings.engine = {.max_rows = 64, .max_step_tokens = 512, .page_tokens = 16, .cache_mib = 1};
  std::mt19937 random(19);
  const std::vector<Query> queries = random_queries(random, 24);
  LogitModel model(kVocab, [](const Ints& path) {
    std::vector<double> logits = logits_of(path);
    logits[0] -= 3;  // ends here and there, most segments are full
    return logits;
  });
  RolloutEngine engine(model, settings);
  RolloutCallbacks callbacks = token_callbacks();
  std::map<int64_t, int> waits;  // steps: how often
  callbacks.score_leaves = [&](size_t, const Query&, const SearchTree&,
                               std::span<const int32_t> leaves) {
    return LeafScores([&waits, &engine, asked_at = engine.stats().steps, count = leaves.size()] {
      ++waits[engine.stats().steps - asked_at];
      return std::vector<double>(count, 1.0);
    });
  };
  engine.run(queries, callbacks);
  EXPECT_GT(waits[4], 10);
  EXPECT_EQ(waits.rbegin()->first, 4);
}

TEST(RolloutEngine, OrderOfNeighboursDoesNotMatter) {
  std::mt19937 random(11);
  for (int round = 0; round < 20; ++round) {
    RolloutSettings settings = random_settings(random);
    settings.engine = random_engine_options(random);
    std::vector<Query> queries = random_queries(random, 8);
    LogitModel model(kVocab, logits_of);
    RolloutEngine engine(model, settings);
    const std::vector<SearchTree> trees = engine.run(queries, token_callbacks());
    std::vector<size_t> order(queries.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    std::vector<Query> shuffled;
    for (const size_t i : order) shuffled.push_back(queries[i]);
    const std::vector<SearchTree> again = engine.run(shuffled, token_callbacks());
    for (size_t i = 0; i < order.size(); ++i) expect_same_tree(again[i], trees[order[i]]);
  }
}

TEST(RolloutEngine, AQueryMetAgainDrawsAnew) {
  RolloutSettings settings;
  settings.growth = {.width = 2, .depth = 2, .segment_tokens = 16};
  LogitModel model(kVocab, logits_of);
  RolloutEngine engine(model, settings);
  const std::vector<Query> queries = {{.id = 1, .visit = 0, .prompt = {1}},
                                      {.id = 1, .visit = 1, .prompt = {1}}};
  const std::vector<SearchTree> trees = engine.run(queries);
  EXPECT_FALSE(std::ranges::equal(trees[0].tokens(1), trees[1].tokens(1)));
}

// Under pressure what is given up costs prefill, but it must not become a habit: with pages for
// half of what the rows want, no more is prefilled than decoded.
TEST(RolloutEngine, PressureCostsLessThanTheDecoding) {
  RolloutSettings settings;
  settings.growth = {.width = 8, .depth = 6, .segment_tokens = 16};
  settings.engine = {.max_rows = 32, .max_step_tokens = 256, .page_tokens = 4, .cache_mib = 1};
  std::vector<Query> queries(40);
  for (size_t i = 0; i < queries.size(); ++i) queries[i] = {.id = i, .prompt = Ints(20, 1)};
  LogitModel model(kVocab, logits_of);
  model.pages_per_mib = 350;  // a tree takes 157, and four trees fill the rows
  RolloutEngine engine(model, settings);
  engine.run(queries);
  EXPECT_GT(engine.stats().evicted_entries, 0);
  EXPECT_LT(engine.stats().prefilled_tokens, engine.stats().drawn_tokens);
}

// With enough memory every token is fed at most once: prompts and shared segments are not repeated,
// however many paths need them; the last token of a trajectory is never fed.
TEST(RolloutEngine, FeedsEachTokenOnce) {
  std::mt19937 random(3);
  RolloutSettings settings;
  settings.growth = {.width = 8, .depth = 4, .segment_tokens = 5, .fallback = FallbackPolicy::none};
  settings.eos_ids = {0};
  for (const int64_t max_step_tokens : {1, 7, 1000}) {
    settings.engine.max_step_tokens = max_step_tokens;
    LogitModel model(kVocab, logits_of);
    RolloutEngine engine(model, settings);
    const std::vector<Query> queries = random_queries(random, 10);
    int64_t expected = 0, prompts = 0;
    for (const SearchTree& tree : engine.run(queries)) {
      expected += static_cast<int64_t>(tree.prompt().size()) + tree.unique_tokens() -
                  static_cast<int64_t>(tree.leaves().size());
      prompts += static_cast<int64_t>(tree.prompt().size());
    }
    EXPECT_EQ(model.rows, expected);
    EXPECT_EQ(model.rerun_rows, 0);
    EXPECT_EQ(engine.stats().rows, expected);
    EXPECT_EQ(engine.stats().prefilled_tokens, prompts);
    EXPECT_EQ(engine.stats().drawn_tokens, expected - prompts + engine.stats().trajectories);
  }
}

// All that is cached stays cached: a fallback reruns one token for its first draw and nothing else.
TEST(RolloutEngine, FallbackRerunsOnlyTheLastToken) {
  RolloutSettings settings;
  settings.growth = {.width = 16, .depth = 3, .segment_tokens = 4};
  settings.eos_ids = {0, 1, 2, 3};
  LogitModel model(kVocab, logits_of);
  RolloutEngine engine(model, settings);
  std::mt19937 random(5);
  for (const SearchTree& tree : engine.run(random_queries(random, 20))) {
    EXPECT_EQ(tree.leaves().size(), 16u);
  }
  EXPECT_GT(model.rerun_rows, 20);
  EXPECT_EQ(engine.stats().evicted_entries, 0);
  int64_t prompts = 0;
  std::mt19937 again(5);
  for (const Query& query : random_queries(again, 20))
    prompts += static_cast<int64_t>(query.prompt.size());
  EXPECT_EQ(engine.stats().prefilled_tokens, prompts + model.rerun_rows);
}

// Each query's own way: of an even one the first path gets what is free, of an odd one the last.
TEST(RolloutEngine, DividesBudgetsAsItsUserSays) {
  RolloutSettings settings;
  settings.growth = {.width = 6, .depth = 3, .segment_tokens = 2, .branching_factor = 3};
  LogitModel model(kVocab, logits_of);
  RolloutEngine engine(model, settings);
  std::mt19937 random(6);
  const std::vector<Query> queries = random_queries(random, 8);
  size_t calls = 0;
  const auto split = [&](const Query& query, const SearchTree&, std::span<const int32_t> active,
                         int32_t budget) {
    ++calls;
    std::vector<int32_t> children(active.size(), 1);
    const int32_t free = budget - static_cast<int32_t>(active.size());
    (query.id % 2 == 0 ? children.front() : children.back()) += free;
    return children;
  };
  const std::vector<SearchTree> trees = engine.run(queries, {.split_budget = split});
  EXPECT_EQ(calls, 8u);  // at the first barrier; at the second each path has one child
  for (size_t i = 0; i < trees.size(); ++i) {
    std::vector<int32_t> parents;
    for (int32_t node = 3; node < 9; ++node) parents.push_back(trees[i].node(node).parent);
    EXPECT_EQ(parents,
              queries[i].id % 2 == 0 ? (Ints{1, 1, 1, 1, 1, 2}) : (Ints{1, 2, 2, 2, 2, 2}));
    EXPECT_EQ(trees[i].leaves().size(), 6u);
  }
}

TEST(RolloutEngine, GreedyPathsAreAllTheSame) {
  RolloutSettings settings;
  settings.growth = {.width = 4, .depth = 3, .segment_tokens = 4};
  settings.sampling.temperature = 0;
  LogitModel model(kVocab, logits_of);
  RolloutEngine engine(model, settings);
  const std::vector<Query> queries = {{.id = 1, .prompt = {1, 2}}};
  const std::vector<SearchTree> trees = engine.run(queries);
  const SearchTree& tree = trees[0];
  ASSERT_EQ(tree.leaves().size(), 4u);
  std::vector<int32_t> path = {1, 2};
  for (const int32_t token : tree.response(tree.leaves()[0])) {
    const std::vector<double> logits = logits_of(path);
    EXPECT_EQ(token, std::ranges::max_element(logits) - logits.begin());
    path.push_back(token);
  }
  for (const int32_t leaf : tree.leaves()) {
    EXPECT_EQ(tree.response(leaf), tree.response(tree.leaves()[0]));
  }
}

// The first tokens of siblings, later tokens and tokens of other queries are independent and
// uniform. Chi-square of 16 cells, and of the 256 pairs (token, token before it): a false alarm has
// probability below 1e-6 each (15 degrees of freedom: 56.5; 255: 379); the seed is fixed.
TEST(RolloutEngine, UniformLogitsGiveUniformTokens) {
  constexpr int32_t kTokens = 16;
  LogitModel model(kTokens, [](const auto&) { return std::vector<double>(kTokens, 0.0); });
  RolloutSettings settings;
  settings.growth = {.width = 8, .depth = 4, .segment_tokens = 8};
  RolloutEngine engine(model, settings);
  std::vector<Query> queries(400);
  for (size_t i = 0; i < queries.size(); ++i) queries[i] = {.id = i, .prompt = {1}};
  std::vector<double> single(kTokens), pairs(kTokens * kTokens), siblings(kTokens * kTokens);
  for (const SearchTree& tree : engine.run(queries)) {
    for (int32_t id = 1; id < tree.num_nodes(); ++id) {
      const auto tokens = tree.tokens(id);
      for (size_t i = 0; i < tokens.size(); ++i) {
        ++single[static_cast<size_t>(tokens[i])];
        if (i > 0) ++pairs[static_cast<size_t>(tokens[i - 1] * kTokens + tokens[i])];
      }
    }
    ++siblings[static_cast<size_t>(tree.tokens(1)[0] * kTokens + tree.tokens(2)[0])];
    EXPECT_NEAR(tree.logprobs(1)[0], -std::log(16.0), 1e-12);
    EXPECT_NEAR(tree.entropies(1)[0], std::log(16.0), 1e-12);
  }
  const auto chi_square = [](const std::vector<double>& counts) {
    double total = 0, sum = 0;
    for (const double count : counts) total += count;
    const double expected = total / static_cast<double>(counts.size());
    for (const double count : counts) sum += (count - expected) * (count - expected) / expected;
    return sum;
  };
  EXPECT_LT(chi_square(single), 56.5);
  EXPECT_LT(chi_square(pairs), 379);
  EXPECT_LT(chi_square(siblings), 379);
}

TEST(RolloutEngine, TellsWhatHappens) {
  std::mt19937 random(2);
  const std::vector<Query> queries = random_queries(random, 6);
  RolloutSettings settings;
  settings.growth = {.width = 5, .depth = 3, .segment_tokens = 4};
  settings.eos_ids = {0};
  LogitModel model(kVocab, logits_of);
  RolloutEngine engine(model, settings);
  std::map<uint64_t, std::vector<int32_t>> leaves;
  std::vector<int> done(queries.size());
  RolloutProgress last;
  const std::vector<SearchTree> trees =
      engine.run(queries, {.trajectory_done =
                               [&](const Query& query, const SearchTree& tree, int32_t leaf) {
                                 EXPECT_NE(tree.node(leaf).stop, StopReason::none);
                                 leaves[query.id].push_back(leaf);
                               },
                           .tree_done =
                               [&](size_t index, const Query& query, const SearchTree& tree) {
                                 EXPECT_EQ(query.id, queries[index].id);
                                 EXPECT_EQ(tree.leaves(), leaves[query.id]);
                                 ++done[index];
                               },
                           .progress =
                               [&](const RolloutProgress& progress) {
                                 EXPECT_EQ(progress.queries, 6);
                                 EXPECT_GE(progress.drawn_tokens, last.drawn_tokens);
                                 last = progress;
                               }});
  EXPECT_EQ(done, std::vector<int>(queries.size(), 1));
  EXPECT_EQ(last.finished_queries, 6);
  EXPECT_EQ(last.active_paths, 0);
  int64_t unique = 0, trajectory = 0;
  for (size_t i = 0; i < trees.size(); ++i) {
    EXPECT_EQ(trees[i].leaves(), leaves[queries[i].id]);
    unique += trees[i].unique_tokens();
    trajectory += trees[i].trajectory_tokens();
  }
  EXPECT_EQ(last.drawn_tokens, unique);
  EXPECT_EQ(engine.stats().drawn_tokens, unique);
  EXPECT_EQ(engine.stats().trajectory_tokens, trajectory);
  EXPECT_EQ(engine.stats().trees, 6);
  EXPECT_EQ(engine.stats().steps, model.steps);
}

// A callback may stop the run; the engine is as good as new afterwards.
TEST(RolloutEngine, SurvivesACallbackThatThrows) {
  std::mt19937 random(2);
  const std::vector<Query> queries = random_queries(random, 6);
  RolloutSettings settings;
  settings.growth = {.width = 5, .depth = 3, .segment_tokens = 4};
  LogitModel model(kVocab, logits_of);
  RolloutEngine engine(model, settings);
  int steps = 0;
  RolloutCallbacks callbacks;
  callbacks.progress = [&](const RolloutProgress&) {
    if (++steps == 5) throw Error("interrupted");
  };
  EXPECT_THROW(engine.run(queries, callbacks), Error);
  const std::vector<SearchTree> trees = engine.run(queries);
  for (size_t i = 0; i < queries.size(); ++i) {
    expect_same_tree(trees[i], reference_rollout(queries[i], settings, logits_of, {}));
  }
}

TEST(RolloutEngine, NothingToDo) {
  LogitModel model(kVocab, logits_of);
  RolloutEngine engine(model, {});
  EXPECT_TRUE(engine.run({}).empty());
}

// The number of pages that the message names does do.
TEST(RolloutEngine, WorksWithTheSmallestCacheItAsksFor) {
  LogitModel model(kVocab, logits_of);
  RolloutSettings settings;
  settings.growth = {.width = 8, .depth = 5, .segment_tokens = 6};
  settings.engine = {.max_rows = 64, .page_tokens = 4, .cache_mib = 1};
  const std::vector<Query> queries = {{.id = 1, .prompt = std::vector<int32_t>(9, 1)},
                                      {.id = 2, .prompt = std::vector<int32_t>(3, 2)}};
  model.pages_per_mib = 12;  // one less than 3 for the prompt and 5 * 2
  RolloutEngine engine(model, settings);
  EXPECT_THROW(engine.run(queries), Error);
  model.pages_per_mib = 13;
  const std::vector<SearchTree> trees = engine.run(queries);
  for (size_t i = 0; i < queries.size(); ++i) {
    expect_same_tree(trees[i], reference_rollout(queries[i], settings, logits_of, {}));
  }
  EXPECT_GT(engine.stats().evicted_entries, 0);
  EXPECT_EQ(model.pages_allocated, 13);
}

// A path that leaves its segments early needs no pages for what it does not use of them, though
// they were all stored when it started.
TEST(RolloutEngine, APathThatLeavesSegmentsEarlyFitsTheSmallestCache) {
  LogitModel model(kVocab, logits_of);
  RolloutSettings settings;
  settings.growth = {.width = 3,
                     .depth = 4,
                     .segment_tokens = 64,
                     .branching_factor = 1,
                     .first_split_min = 1,
                     .first_split_max = 1,
                     .fallback = FallbackPolicy::lowest_logprob};
  settings.stop.response_tokens = 64;
  settings.engine = {.max_rows = 64, .page_tokens = 16, .cache_mib = 1};
  model.pages_per_mib = 9;  // 1 for the prompt, 4 of tokens, 4 that segments may leave unfilled
  for (uint64_t seed = 0; seed < 50; ++seed) {
    settings.seed = seed;
    RolloutEngine engine(model, settings);
    const std::vector<Query> queries = {{.id = 1, .prompt = Ints(10, 1)}};
    const std::vector<SearchTree> trees = engine.run(queries);
    expect_same_tree(trees[0], reference_rollout(queries[0], settings, logits_of, {}));
  }
  EXPECT_EQ(model.pages_allocated, 9);
}

// As above, whatever the policies: segments of several pages, restarts anywhere within them.
TEST(RolloutEngine, LongSegmentsEqualTheReferenceInTheSmallestCache) {
  std::mt19937 random(13);
  int64_t left_pages = 0;
  for (int round = 0; round < 1000; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    RolloutSettings settings = random_settings(random);
    pick_policies(random, settings.growth);
    settings.growth.segment_tokens = pick(random, 5, 40);
    settings.growth.width = pick(random, 2, 8);
    settings.growth.fallback_window = pick(random, 0, 40);
    settings.growth.sequential = false;
    settings.stop.response_tokens = pick(random, 5, 60);
    settings.eos_ids = {0};
    settings.engine = random_engine_options(random);
    const std::vector<Query> queries = random_queries(random, 1 + random() % 3);
    LogitModel model(kVocab, logits_of);
    model.pages_per_mib = smallest_cache(queries, settings);
    RolloutEngine engine(model, settings);
    const RolloutCallbacks callbacks = token_callbacks();
    const std::vector<SearchTree> trees = engine.run(queries, callbacks);
    for (size_t i = 0; i < queries.size(); ++i) {
      expect_same_tree(trees[i], reference_rollout(queries[i], settings, logits_of, callbacks,
                                                   static_cast<int64_t>(queries.size())));
      const int64_t page = settings.engine.page_tokens;
      for (int32_t id = 1; id < trees[i].num_nodes(); ++id) {
        const TreeNode& node = trees[i].node(id);
        left_pages += (trees[i].node(node.parent).num_tokens + page - 1) / page -
                      (node.parent_used_tokens + page - 1) / page;
      }
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(left_pages, 400);  // the case that matters did occur
}

}  // namespace
}  // namespace treepo
