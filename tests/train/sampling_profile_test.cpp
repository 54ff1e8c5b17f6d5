#include <gtest/gtest.h>

#include <vector>

#include "evaluate/sampling_benchmark.h"
#include "evaluate/sampling_report.h"
#include "model/tree_step_model.h"
#include "tiny_model.h"

namespace treepo {
namespace {

// What a benchmark says of a real model's time and bytes.
//
// A prompt of P tokens, no path ends before its response has 8 tokens, 4 trajectories. Step i = 0,
// 1, … 7 draws the i-th token of each path, and its rows see, each counted once:
//   sequential     P + 4 i
//   trees of 2x4   P + 2 i at depth 1 (i < 4); P + 8 + 4 (i - 4) at depth 2
TEST(SamplingProfile, EqualsAnIndependentCount) {
  const TinyModel model;
  const std::vector<int32_t> prompt = model.encode("12+34:");
  const auto p = static_cast<int64_t>(prompt.size());
  RolloutSettings trees;
  trees.growth = {.width = 4, .depth = 2, .segment_tokens = 4};
  TreeStepModel step_model(model.decoder);
  const std::vector<Query> queries = {{.id = 1, .prompt = prompt}};
  constexpr int64_t kRounds = 3;
  const auto measured =
      measure_sampling(step_model, sampling_cases(trees, {}, 1), queries, kRounds);

  // Float64; 2 layers of hidden size 16 with 4 query and 2 key/value heads of 4 numbers and 24
  // numbers between the two products of a feed-forward part; a head for 24 characters.
  const int64_t layer = 16 * (4 + 2 * 2) * 4 + 4 * 4 * 16 + 3 * 16 * 24;
  const int64_t weights = 8 * (2 * layer + 24 * 16);
  const int64_t key = 8 * 2 * 2 * 2 * 4;
  int64_t keys_of_paths = 0, keys_of_tree = 0;
  for (int64_t i = 0; i < 8; ++i) {
    keys_of_paths += p + 4 * i;
    keys_of_tree += i < 4 ? p + 2 * i : p + 8 + 4 * (i - 4);
  }
  const SamplingMachine machine{
      .device = "cpu", .dtype = "float64", .threads = 1, .read_bandwidth = 1e9};
  for (size_t i = 0; i < measured.size(); ++i) {
    const SamplingMeasurement& m = measured[i];
    EXPECT_EQ(m.stats.steps, 8 * kRounds);
    EXPECT_EQ(m.profile.weight_bytes, kRounds * 8 * weights);
    const int64_t keys = i == 0 ? keys_of_paths : keys_of_tree;
    EXPECT_EQ(m.profile.key_value_bytes, kRounds * keys * key) << m.what.name;

    double parts = 0;
    const OrderedJson json = sampling_json(measured, m, machine);
    for (const char* part :
         {"linear_seconds", "attention_seconds", "sampling_seconds", "scheduling_seconds"}) {
      EXPECT_GT(json[part], 0.0) << part;
      parts += json[part].get<double>();
    }
    const double round = m.total_seconds() / kRounds;
    EXPECT_LT(parts, round);
    EXPECT_NEAR(parts + json["other_seconds"].get<double>(), round, 1e-9 * round);
    EXPECT_EQ(json["weight_bytes"], 8 * weights);
    EXPECT_EQ(json["key_value_bytes"], keys * key);
    EXPECT_DOUBLE_EQ(json["roof_share"].get<double>(),
                     static_cast<double>(8 * weights + keys * key) / round / 1e9);
  }
}

}  // namespace
}  // namespace treepo
