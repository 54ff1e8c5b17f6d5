// Rollout with a real model in float64: what is sampled is what the model says, and nothing of how
// it was computed shows in it.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "dense_forward.h"
#include "model/tree_step_model.h"
#include "rollout/cache_plan.h"
#include "rollout/engine.h"
#include "rollout/reference_rollout.h"
#include "tiny_model.h"
#include "train/threads.h"
#include "train/trajectory_text.h"

namespace treepo {
namespace {

constexpr double kTolerance = 1e-9;

// Room for this many pages whatever their size.
class LittleMemory : public TreeStepModel {
 public:
  LittleMemory(const Decoder& decoder, int64_t pages) : TreeStepModel(decoder), pages_(pages) {}
  int64_t bytes_per_page(int32_t) const override { return (int64_t{1} << 20) / pages_; }

 private:
  int64_t pages_;
};

std::vector<Query> some_queries(const TinyModel& model, size_t count) {
  std::vector<Query> queries;
  const CarryTask task(1);
  for (size_t i = 0; i < count; ++i) {
    const std::string prompt = task.training_problem(static_cast<int64_t>(i)).prompt;
    queries.push_back({.id = 10 + i,
                       .visit = i % 2,
                       .prompt = model.encode(prompt.substr(prompt.size() - 1 - i % 12))});
  }
  return queries;
}

RolloutSettings settings_of(const GrowthOptions& growth, const StopOptions& stop = {},
                            const SamplingOptions& sampling = {}) {
  return {.growth = growth,
          .stop = stop,
          .sampling = sampling,
          .engine = {.max_rows = 7, .page_tokens = 3, .cache_mib = 1},
          .eos_ids = {kCarryEosId, 5},
          .seed = 3};
}

RolloutCallbacks text_callbacks(const RolloutSettings& settings, const TinyModel& model) {
  RolloutCallbacks callbacks;
  add_text_rules(callbacks, settings.stop, model.text);
  return callbacks;
}

// What happened in trees, to make sure that a test's cases did occur.
struct Seen {
  int64_t cuts_inside = 0, discarded = 0, fallbacks = 0;
  std::vector<int64_t> first_splits;

  void add(const SearchTree& tree) {
    int64_t first = 0;
    for (int32_t id = 1; id < tree.num_nodes(); ++id) {
      const TreeNode& node = tree.node(id);
      const TreeNode& parent = tree.node(node.parent);
      cuts_inside += node.parent_used_tokens < parent.num_tokens;
      discarded += node.discarded;
      fallbacks += node.depth < tree.node(id - 1).depth;  // branching never leads back up
      first += node.parent == 0 && id == first + 1;
    }
    first_splits.push_back(first);
  }
};

// Log-prob and entropy of each node's own tokens against a forward pass over the whole path.
void expect_full_forward(const SearchTree& tree, const Decoder& decoder, double temperature) {
  for (int32_t node = 1; node < tree.num_nodes(); ++node) {
    std::vector<int32_t> path(tree.prompt().begin(), tree.prompt().end());
    for (const int32_t token : tree.response(node)) path.push_back(token);
    const at::Tensor logprobs = (dense_logits(decoder, path) / temperature).log_softmax(-1);
    const at::Tensor entropies = -(logprobs.exp() * logprobs).sum(-1);
    const auto tokens = tree.tokens(node);
    for (size_t i = 0; i < tokens.size(); ++i) {
      const auto source = static_cast<int64_t>(path.size() - tokens.size() + i) - 1;
      EXPECT_NEAR(tree.logprobs(node)[i], logprobs[source][tokens[i]].item<double>(), kTolerance)
          << "node " << node << " token " << i;
      EXPECT_NEAR(tree.entropies(node)[i], entropies[source].item<double>(), kTolerance)
          << "node " << node << " token " << i;
    }
  }
}

Seen sample_and_compare(const RolloutSettings& settings, const std::string& architecture = "llama",
                        size_t num_queries = 6) {
  const TinyModel model(2, architecture);
  TreeStepModel step_model(model.decoder);
  RolloutEngine engine(step_model, settings);
  Seen seen;
  for (const SearchTree& tree :
       engine.run(some_queries(model, num_queries), text_callbacks(settings, model))) {
    tree.check_invariants();
    expect_full_forward(tree, model.decoder, settings.sampling.temperature);
    seen.add(tree);
  }
  return seen;
}

TEST(RolloutLogProbs, OfATree) {
  for (const std::string architecture : {"llama", "qwen2", "qwen3", "mistral"}) {
    SCOPED_TRACE(architecture);
    sample_and_compare(settings_of({.width = 8, .depth = 3, .segment_tokens = 4}), architecture);
  }
}

TEST(RolloutLogProbs, OfSequentialSamples) {
  sample_and_compare(
      settings_of({.width = 5, .depth = 3, .segment_tokens = 5, .sequential = true}));
}

TEST(RolloutLogProbs, OfDrawnFirstSplitsAndThreeBranches) {
  const Seen seen = sample_and_compare(settings_of({.width = 12,
                                                    .depth = 3,
                                                    .segment_tokens = 3,
                                                    .branching_factor = 3,
                                                    .first_split_min = 1,
                                                    .first_split_max = 6}),
                                       "llama", 10);
  const auto [least, most] = std::ranges::minmax(seen.first_splits);
  EXPECT_LE(least, 2);
  EXPECT_GE(most, 5);
}

TEST(RolloutLogProbs, OfFallbacksThatCutSegments) {
  const Seen seen = sample_and_compare(
      settings_of({.width = 24, .depth = 4, .segment_tokens = 5, .fallback_window = 2}));
  EXPECT_GT(seen.cuts_inside, 10);
  const Seen whole =
      sample_and_compare(settings_of({.width = 24, .depth = 4, .segment_tokens = 5}));
  EXPECT_GT(whole.fallbacks, 10);
  EXPECT_EQ(whole.cuts_inside, 0);
}

TEST(RolloutLogProbs, AtOtherTemperaturesAndWithTruncatedDraws) {
  const GrowthOptions growth{.width = 8, .depth = 3, .segment_tokens = 4, .fallback_window = 3};
  for (const SamplingOptions& sampling :
       {SamplingOptions{.temperature = 0.6}, SamplingOptions{.temperature = 1.7},
        SamplingOptions{.temperature = 0.8, .top_k = 5, .top_p = 0.9, .min_p = 0.05}})
    sample_and_compare(settings_of(growth, {}, sampling));
}

TEST(RolloutLogProbs, OfPathsThatStopRulesEnd) {
  const StopOptions stop{.response_tokens = 13,
                         .min_response_tokens = 4,
                         .repetition = true,
                         .repetition_length = 1,
                         .repetition_count = 3,
                         .stop_strings = {"7", "+-"}};
  const Seen seen = sample_and_compare(
      settings_of({.width = 8, .depth = 5, .segment_tokens = 4, .fallback_window = 3}, stop),
      "llama", 12);
  EXPECT_GT(seen.discarded, 3);
}

void expect_same_samples(const SearchTree& tree, const SearchTree& expected) {
  ASSERT_EQ(tree.num_nodes(), expected.num_nodes());
  EXPECT_EQ(tree.leaves(), expected.leaves());
  for (int32_t node = 0; node < tree.num_nodes(); ++node) {
    EXPECT_EQ(tree.node(node).parent, expected.node(node).parent);
    EXPECT_EQ(tree.node(node).parent_used_tokens, expected.node(node).parent_used_tokens);
    EXPECT_EQ(tree.node(node).stop, expected.node(node).stop);
    EXPECT_EQ(tree.node(node).discarded, expected.node(node).discarded);
    ASSERT_TRUE(std::ranges::equal(tree.tokens(node), expected.tokens(node))) << "node " << node;
    for (size_t i = 0; i < tree.tokens(node).size(); ++i)
      EXPECT_NEAR(tree.logprobs(node)[i], expected.logprobs(node)[i], kTolerance);
  }
}

// Trees grown one token after the other from dense forward passes over whole paths, and settings
// and queries to grow them again in other ways.
struct KnownTrees {
  explicit KnownTrees(const GrowthOptions& growth, size_t count)
      : settings(settings_of(growth, {}, {.temperature = 0.9})),
        queries(some_queries(model, count)) {
    settings.stop.response_tokens = 18;
    for (const Query& query : queries) {
      expected.push_back(reference_rollout(
          query, settings,
          [&](const std::vector<int32_t>& path) { return next_logits(model.decoder, path); }, {}));
    }
  }

  RolloutStats sample(const EngineOptions& engine_options, TreeStepModel& step_model) {
    settings.engine = engine_options;
    RolloutEngine engine(step_model, settings);
    const std::vector<SearchTree> trees = engine.run(queries);
    for (size_t i = 0; i < trees.size(); ++i) {
      SCOPED_TRACE("query " + std::to_string(i));
      expect_same_samples(trees[i], expected[i]);
    }
    return engine.stats();
  }

  TinyModel model{2};
  RolloutSettings settings;
  std::vector<Query> queries;
  std::vector<SearchTree> expected;
};

const GrowthOptions kManyCuts{.width = 10,
                              .depth = 4,
                              .segment_tokens = 6,
                              .first_split_min = 2,
                              .first_split_max = 4,
                              .fallback_window = 4};

TEST(RolloutSamples, DoNotDependOnRowsPagesAndSteps) {
  KnownTrees known(kManyCuts, 7);
  TreeStepModel step_model(known.model.decoder);
  for (const EngineOptions& engine :
       {EngineOptions{.max_rows = 1, .max_step_tokens = 1, .page_tokens = 1},
        EngineOptions{.max_rows = 3, .max_step_tokens = 5, .page_tokens = 7},
        EngineOptions{.max_rows = 16, .max_step_tokens = 20, .page_tokens = 2},
        EngineOptions{.max_rows = 256, .max_step_tokens = 2048, .page_tokens = 16}}) {
    SCOPED_TRACE(fmt::format("{} rows, pages of {}", engine.max_rows, engine.page_tokens));
    const RolloutStats stats = known.sample(engine, step_model);
    EXPECT_EQ(stats.suspensions, 0);
    EXPECT_EQ(stats.evicted_entries, 0);
  }
}

// Short segments, so that trees branch at different times and take pages from one another.
TEST(RolloutSamples, DoNotDependOnMemory) {
  KnownTrees known({.width = 8,
                    .depth = 9,
                    .segment_tokens = 2,
                    .first_split_min = 1,
                    .first_split_max = 4,
                    .fallback_window = 3},
                   7);
  for (const int64_t page_tokens : {1, 4}) {
    const StopRules rules = make_stop_rules(known.settings.growth, known.settings.stop);
    const int64_t one_path = pages_of_path(12, rules, page_tokens);
    int64_t suspensions = 0;
    for (const int64_t pages : {one_path, one_path + 5, 2 * one_path}) {
      SCOPED_TRACE(fmt::format("{} pages of {}", pages, page_tokens));
      LittleMemory step_model(known.model.decoder, pages);
      const RolloutStats stats =
          known.sample({.max_rows = 24, .page_tokens = page_tokens, .cache_mib = 1}, step_model);
      EXPECT_GT(stats.evicted_entries, 20);
      suspensions += stats.suspensions;
    }
    EXPECT_GT(suspensions, 10);
  }
}

// Wide enough that kernels and matrix products do use the second thread.
TEST(RolloutSamples, DoNotDependOnTheNumberOfThreads) {
  const TinyModel model(4, "llama", 64);
  const RolloutSettings settings{
      .growth = {.width = 16, .depth = 3, .segment_tokens = 8, .first_split_max = 8},
      .engine = {.max_rows = 256, .page_tokens = 16},
      .eos_ids = {kCarryEosId},
      .seed = 5};
  std::vector<Query> queries;
  for (uint64_t i = 0; i < 8; ++i)
    queries.push_back({.id = i, .prompt = std::vector<int32_t>(80, static_cast<int32_t>(3 + i))});
  TreeStepModel step_model(model.decoder);
  const std::vector<SearchTree> expected = RolloutEngine(step_model, settings).run(queries);
  use_threads(2);
  const std::vector<SearchTree> trees = RolloutEngine(step_model, settings).run(queries);
  use_threads(1);
  for (size_t i = 0; i < trees.size(); ++i) expect_same_samples(trees[i], expected[i]);
}

}  // namespace
}  // namespace treepo
