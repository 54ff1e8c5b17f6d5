#include "evaluate/sampling_benchmark.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "evaluate/machine_roof.h"
#include "evaluate/sampling_report.h"
#include "rollout/fake_model.h"
#include "support/expect_error.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int32_t kVocab = 8;

LogitModel uniform_model() {
  return LogitModel(kVocab,
                    [](const std::vector<int32_t>&) { return std::vector<double>(kVocab, 0.0); });
}

std::vector<SamplingCase> both_ways() {
  RolloutSettings trees;
  trees.growth.width = 4;
  trees.growth.depth = 3;
  trees.growth.segment_tokens = 5;
  RolloutSettings sequential = trees;
  sequential.growth.sequential = true;
  return {{.name = "sequential", .settings = sequential, .sweep = Sweep::none, .baseline = -1},
          {.name = "tree", .settings = trees, .sweep = Sweep::none, .baseline = 0}};
}

// No path ends before depth 3, so that a tree of width 4 is
//   2 nodes at depth 1, 4 at depth 2, 4 at depth 3, of 5 tokens each.
TEST(SamplingBenchmark, CountsWhatADrawnTreeHas) {
  LogitModel model = uniform_model();
  const std::vector<Query> queries = {{.id = 1, .prompt = {1, 2}}, {.id = 2, .prompt = {3}}};
  int64_t runs = 0;
  const auto measured = measure_sampling(model, both_ways(), queries, 3,
                                         {.progress = [&](int64_t done) { runs = done; }});
  EXPECT_EQ(runs, 2 * (3 + 1));
  ASSERT_EQ(measured.size(), 2u);

  const SamplingMeasurement &sequential = measured[0], &tree = measured[1];
  EXPECT_EQ(sequential.stats.drawn_tokens, 3 * 2 * 4 * 15);
  EXPECT_EQ(sequential.stats.trajectory_tokens, 3 * 2 * 4 * 15);
  EXPECT_DOUBLE_EQ(sequential.sharing(), 1.0);
  EXPECT_EQ(tree.stats.drawn_tokens, 3 * 2 * (2 + 4 + 4) * 5);
  EXPECT_EQ(tree.stats.trajectory_tokens, 3 * 2 * 4 * 15);
  EXPECT_DOUBLE_EQ(tree.sharing(), 60.0 / 50.0);
  ASSERT_EQ(tree.by_depth.size(), 3u);
  for (size_t depth = 0; depth < 3; ++depth) {
    EXPECT_EQ(tree.by_depth[depth].unique, 2 * 5 * (depth == 0 ? 2 : 4));
    EXPECT_EQ(tree.by_depth[depth].trajectory, 2 * 5 * 4);
  }
  // Prompts of 3 tokens in all, once a round.
  EXPECT_DOUBLE_EQ(tree.processed_tokens_per_second() * tree.median_seconds(), 2 * 50 + 3);
  EXPECT_DOUBLE_EQ(tree.trajectories_per_second() * tree.median_seconds(), 8);
}

// Right answers are those whose first token is even: what is judged is each case's trees, once.
TEST(SamplingBenchmark, JudgesTheTreesOfEachCaseOnce) {
  LogitModel model = uniform_model();
  const std::vector<Query> queries = {{.id = 1, .prompt = {1, 2}}, {.id = 2, .prompt = {3}}};
  int judged = 0;
  SamplingHooks hooks;
  hooks.judge = [&](std::vector<SearchTree> trees) {
    ++judged;
    std::vector<Samples> problems;
    for (const SearchTree& tree : trees) {
      problems.emplace_back();
      for (const int32_t leaf : tree.leaves()) {
        const bool even = tree.response(leaf)[0] % 2 == 0;
        problems.back().push_back({.score = 0, .correct = even, .answer = even ? "even" : "odd"});
      }
    }
    return sampling_accuracy(problems, 1);
  };
  const auto measured = measure_sampling(model, both_ways(), queries, 3, hooks);
  EXPECT_EQ(judged, 2);
  SamplingMachine machine{.device = "cpu", .dtype = "float32", .threads = 1, .read_bandwidth = 1e9};
  const std::string table = accuracy_table(measured);
  EXPECT_NE(table.find("time saved"), std::string::npos);
  std::vector<double> shares;
  for (const SamplingMeasurement& m : measured) {
    // The same trees again: each case's own.
    double even = 0, majority = 0;
    for (const SearchTree& tree : RolloutEngine(model, m.what.settings).run(queries)) {
      double even_here = 0;
      for (const int32_t leaf : tree.leaves()) even_here += tree.response(leaf)[0] % 2 == 0;
      even += even_here / 4;
      majority += even_here > 2 ? 1 : even_here == 2 ? 0.5 : 0;
    }
    ASSERT_TRUE(m.accuracy);
    EXPECT_DOUBLE_EQ(m.accuracy->average.mean, even / 2);
    EXPECT_DOUBLE_EQ(m.accuracy->majority.mean, majority / 2);
    EXPECT_NE(table.find(fmt::format("{:.1f} % (", 50 * even)), std::string::npos) << table;
    const OrderedJson json = sampling_json(measured, m, machine);
    EXPECT_EQ(json["avg"]["mean"], m.accuracy->average.mean);
    EXPECT_EQ(json["maj"]["mean"], m.accuracy->majority.mean);
    shares.push_back(even / 2);
  }
  EXPECT_NE(shares[0], shares[1]);  // or the test could not tell one case from the other
}

// Rows for all trees are of no use where pages are missing: then the case is not what it is called.
TEST(SamplingBenchmark, LockStepBeginsWithAllTrees) {
  std::vector<Query> queries(6);
  for (size_t i = 0; i < queries.size(); ++i) queries[i] = {.id = i, .prompt = {1, 2, 3}};
  RolloutSettings trees;
  trees.growth = {.width = 4, .depth = 3, .segment_tokens = 40, .branching_factor = 8};
  trees.stop.response_tokens = 10;
  trees.engine = {.max_rows = 4, .max_step_tokens = 8, .page_tokens = 4, .cache_mib = 1};
  const auto cases = sampling_cases(trees, {.lock_step = true}, 6);
  LogitModel model = uniform_model();
  model.pages_per_mib = 6 * (1 + 4 * (10 / 4 + 3));  // whole trees
  const auto measured = measure_sampling(model, cases, queries, 1);
  EXPECT_EQ(measured[2].stats.steps, 10);  // every path has its row in every step
  EXPECT_GT(measured[0].stats.steps, 10);
  model.pages_per_mib = 40;
  EXPECT_THAT(error_of([&] { measure_sampling(model, cases, queries, 1); }),
              AllOf(HasSubstr("sequential, w 4, lock step"), HasSubstr("engine.cache_mib = 1"),
                    HasSubstr("of 6 trees at once")));
}

TEST(SamplingBenchmark, AccuracyIsTheMeanOverQueries) {
  const Sample right{.score = 1, .correct = true, .answer = "7"};
  const Sample wrong{.score = 0, .correct = false, .answer = "3"};
  // 3 of 4 right and the majority too; none right; no trajectory at all.
  const std::vector<Samples> problems = {{right, right, wrong, right}, {wrong}, {}};
  const SamplingAccuracy accuracy = sampling_accuracy(problems, 0);
  EXPECT_DOUBLE_EQ(accuracy.average.mean, 0.75 / 3);
  EXPECT_DOUBLE_EQ(accuracy.majority.mean, 1.0 / 3);
}

// All three counts of tokens are there under names of their own.
TEST(SamplingBenchmark, ReportsEveryCountByName) {
  LogitModel model = uniform_model();
  const std::vector<Query> queries = {{.id = 1, .prompt = {1, 2}}};
  const auto measured = measure_sampling(model, both_ways(), queries, 1);
  const SamplingMachine machine{.device = "cpu",
                                .dtype = "float32",
                                .threads = 2,
                                .read_bandwidth = 1e9,
                                .peak_memory_bytes = 77};
  const Json tree = Json::parse(dump_json(sampling_json(measured, measured[1], machine)));
  EXPECT_EQ(tree["unique_tokens"], 50);
  EXPECT_EQ(tree["trajectory_tokens"], 60);
  EXPECT_EQ(tree["prefilled_tokens"], 2);
  EXPECT_DOUBLE_EQ(tree["scheduling_seconds"].get<double>() + tree["other_seconds"].get<double>(),
                   measured[1].seconds[0]);  // the fake model says nothing of its own parts
  EXPECT_DOUBLE_EQ(tree["token_ps"].get<double>() / tree["unique_tokens_per_s"].get<double>(),
                   52.0 / 50.0);
  EXPECT_EQ(tree["by_depth"][0]["unique_share"], 0.5);
  EXPECT_EQ(tree["machine"]["peak_memory_bytes"], 77);
  EXPECT_FALSE(tree.contains("maj"));
  const SamplingMeasurement& sequential = measured[0];
  EXPECT_DOUBLE_EQ(tree["saved"]["unique_tokens"].get<double>(),
                   1 - 50.0 / static_cast<double>(sequential.stats.drawn_tokens));
  EXPECT_DOUBLE_EQ(tree["saved"]["trajectory_tokens"].get<double>(),
                   1 - 60.0 / static_cast<double>(sequential.stats.trajectory_tokens));
  const std::string table = speed_table(measured, machine);
  for (const char* word : {"traj/s", "unique/s", "traj.t/s", "TokenPS", "attent.", "other", "roof"})
    EXPECT_NE(table.find(word), std::string::npos) << word;
  EXPECT_NE(ratio_lines(measured).find("tree: "), std::string::npos);
  EXPECT_EQ(depth_lines(measured), "unique share by depth, tree: 1: 50 % 2: 100 % 3: 100 %\n");
  EXPECT_EQ(accuracy_table(measured), "");
}

TEST(SamplingBenchmark, MedianOfRounds) {
  SamplingMeasurement m;
  m.seconds = {3, 1, 2};
  EXPECT_DOUBLE_EQ(m.median_seconds(), 2);
  m.seconds = {4, 1, 2, 3};
  EXPECT_DOUBLE_EQ(m.median_seconds(), 2.5);
}

// A fallback that kept 2 of 4 tokens of node 1:
//   0 ─ 1 AAAA ─ 2 BB         trajectory AAAABB
//             └─ 3 CCC        keeps 2: trajectory AACCC
TEST(SamplingBenchmark, DepthsCountUsedTokensOnly) {
  SearchTree tree({7}, 4);
  const int32_t a = tree.add_child(0);
  for (int i = 0; i < 4; ++i) tree.append(a, 1, -1, 1);
  const int32_t b = tree.add_child(a);
  for (int i = 0; i < 2; ++i) tree.append(b, 1, -1, 1);
  tree.stop(b, StopReason::eos);
  const int32_t c = tree.add_child(a, 2);
  for (int i = 0; i < 3; ++i) tree.append(c, 1, -1, 1);
  tree.stop(c, StopReason::eos);
  const auto tokens = tokens_by_depth(std::vector<SearchTree>{tree});
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_EQ(tokens[0].unique, 4);
  EXPECT_EQ(tokens[0].trajectory, 4 + 2);
  EXPECT_EQ(tokens[1].unique, 5);
  EXPECT_EQ(tokens[1].trajectory, 5);
}

TEST(MachineRoof, IsOfAPlausibleSize) {
  const double bandwidth = measure_read_bandwidth(1);
  EXPECT_GT(bandwidth, 1e8);
  EXPECT_LT(bandwidth, 1e13);
  EXPECT_GT(peak_memory_bytes(), int64_t{256} << 20);  // the array that was read
  EXPECT_GT(machine_memory_bytes(), peak_memory_bytes());
}

}  // namespace
}  // namespace treepo
