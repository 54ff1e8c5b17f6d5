#include "learn/advantage.h"

#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "support/assets.h"

namespace treepo {
namespace {

using nlohmann::json;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr AdvantageOptions kPlain{.whiten = false};

// A case of the oracle; `order[q][i]` is the place of leaf i of query q in the case's lists.
struct Batch {
  std::vector<QueryRewards> queries;
  std::vector<std::vector<size_t>> order;
};

Batch read_batch(const json& leaves) {
  Batch batch;
  std::map<int32_t, size_t> query_of_root;
  for (size_t i = 0; i < leaves.size(); ++i) {
    const auto path = leaves[i]["path"].get<std::vector<int32_t>>();
    const auto [entry, fresh] = query_of_root.emplace(path[0], batch.queries.size());
    if (fresh) {
      batch.queries.push_back({.name = std::to_string(path[0]), .leaves = {}});
      batch.order.emplace_back();
    }
    batch.queries[entry->second].leaves.push_back(
        {.path = path, .reward = leaves[i]["reward"], .num_tokens = leaves[i]["num_tokens"]});
    batch.order[entry->second].push_back(i);
  }
  return batch;
}

void expect_values(const Batch& batch, const json& expected, const AdvantageOptions& options,
                   const std::string& what) {
  const auto advantages = leaf_advantages(batch.queries, options);
  for (size_t q = 0; q < batch.queries.size(); ++q) {
    for (size_t i = 0; i < batch.order[q].size(); ++i) {
      EXPECT_NEAR(advantages[q].values[i], expected.at(batch.order[q][i]).get<double>(), 1e-12)
          << what << ", leaf " << batch.order[q][i];
    }
  }
}

TEST(Advantage, EqualsEveryCaseOfTheOracle) {
  const std::string file = TREEPO_ASSETS "/oracles/treepo/advantages.json";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << no_assets();
  const json oracle = json::parse(std::ifstream(file));
  const std::map<std::string, AdvantageOptions> fields = {
      {"mean", kPlain},
      {"size_weighted", {.kind = AdvantageKind::tree_size_weighted, .whiten = false}},
      {"reject_degenerate", {.kind = AdvantageKind::tree_reject_degenerate, .whiten = false}},
      {"reject_degenerate_size_weighted",
       {.kind = AdvantageKind::tree_reject_degenerate_size_weighted, .whiten = false}},
      {"no_root", {.kind = AdvantageKind::tree_no_root, .whiten = false}},
      {"grpo", {.kind = AdvantageKind::grpo, .whiten = false}},
      {"grpo_std", {.kind = AdvantageKind::grpo, .query_std = true, .whiten = false}},
      {"mean_whitened", {}},
  };
  ASSERT_EQ(oracle["cases"].size(), 47u);
  for (const json& c : oracle["cases"]) {
    const Batch batch = read_batch(c["leaves"]);
    for (const auto& [field, value] : c["expected"].items()) {
      const std::string what = c["name"].get<std::string>() + "." + field;
      if (fields.contains(field)) {
        expect_values(batch, value, fields.at(field), what);
      } else if (field == "levels") {
        const auto advantages = leaf_advantages(batch.queries, kPlain);
        for (size_t q = 0; q < batch.queries.size(); ++q) {
          for (size_t i = 0; i < batch.order[q].size(); ++i) {
            EXPECT_EQ(advantages[q].levels[i], value.at(batch.order[q][i]).get<int32_t>()) << what;
          }
        }
      } else {
        ASSERT_EQ(field, "whiten");  // its moments are those that mean_whitened is made with
      }
    }
  }
}

// grpo_golden.json: NumPy, ddof 1, eps_std 1e-4, the same as TRL's group normalisation.
TEST(Advantage, GroupNormalisationEqualsNumPy) {
  const std::string file = TREEPO_ASSETS "/oracles/grpo-loss/grpo_golden.json";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << no_assets();
  const json golden = json::parse(std::ifstream(file));
  AdvantageOptions options{.kind = AdvantageKind::grpo, .whiten = false};
  options.epsilon = golden["eps_std"];
  for (const json& group : golden["groups"]) {
    std::vector<QueryRewards> query(1);
    for (const json& reward : group["rewards"]) {
      const auto node = static_cast<int32_t>(query[0].leaves.size()) + 1;
      query[0].leaves.push_back({.path = {0, node}, .reward = reward, .num_tokens = 1});
    }
    for (const bool scaled : {true, false}) {
      options.query_std = scaled;
      const auto values = leaf_advantages(query, options)[0].values;
      const auto expected = group[scaled ? "advantages" : "advantages_unscaled"];
      for (size_t i = 0; i < values.size(); ++i) {
        EXPECT_NEAR(values[i], expected[i].get<double>(), 1e-12);
      }
    }
  }
}

// root ─ 1 ─ 3 (R 1), 4 (R 0);  root ─ 2 (R 1). Root mean 2/3, mean of node 1's leaves 1/2.
TEST(Advantage, DrawnTree) {
  SearchTree tree({7}, 2);
  const int32_t a = tree.add_child(0), b = tree.add_child(0);
  for (const int32_t node : {a, b}) {
    tree.append(node, 1, -0.5, 0.5);
  }
  const int32_t c = tree.add_child(a), d = tree.add_child(a);
  for (const int32_t node : {c, d}) {
    tree.append(node, 2, -0.5, 0.5);
  }
  for (const int32_t node : {b, c, d}) {
    tree.stop(node, StopReason::eos);
  }
  const std::vector<int32_t> leaves = {c, d, b};
  const std::vector<double> rewards = {1, 0, 1};
  const std::vector<QueryRewards> queries = {query_rewards("drawn", tree, leaves, rewards)};
  EXPECT_THAT(queries[0].leaves[0].path, ElementsAre(0, a, c));
  EXPECT_EQ(queries[0].leaves[0].num_tokens, 2);

  const LeafAdvantages advantages = leaf_advantages(queries, kPlain)[0];
  EXPECT_NEAR(advantages.values[0], (1.0 / 3 + 0.5) / 2, 1e-15);
  EXPECT_NEAR(advantages.values[1], (-2.0 / 3 - 0.5) / 2, 1e-15);
  EXPECT_NEAR(advantages.values[2], 1.0 / 3, 1e-15);
  EXPECT_THAT(advantages.levels, ElementsAre(2, 2, 1));
}

TEST(Advantage, LeaveOneOutComparesWithTheOthers) {
  QueryRewards query{.name = "q", .leaves = {}};
  for (const double reward : {0.0, 1.0, 0.5})
    query.leaves.push_back({.path = {0, 1}, .reward = reward, .num_tokens = 3});
  const std::vector<QueryRewards> queries = {query};
  const auto advantages =
      leaf_advantages(queries, {.kind = AdvantageKind::leave_one_out, .whiten = false});
  EXPECT_THAT(advantages[0].values,
              ElementsAre(DoubleNear(0 - 0.75, 1e-15), DoubleNear(1 - 0.25, 1e-15),
                          DoubleNear(0.5 - 0.5, 1e-15)));
}

TEST(Advantage, WithoutContrastIsExactlyZero) {
  QueryRewards query{.name = "q", .leaves = {}};
  for (int32_t i = 1; i <= 3; ++i) {
    query.leaves.push_back({.path = {0, i}, .reward = 0.1, .num_tokens = 5});
  }
  const std::vector<QueryRewards> queries = {query};
  for (const bool whitened : {true, false}) {
    const auto advantages = leaf_advantages(queries, {.query_std = true, .whiten = whitened});
    EXPECT_THAT(advantages[0].values, ElementsAre(0.0, 0.0, 0.0));
  }
  EXPECT_TRUE(leaf_advantages({}, {}).empty());
}

TEST(Advantage, RewardThatIsNoNumberNamesQueryAndLeaf) {
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    const std::vector<QueryRewards> queries = {
        {.name = "fine", .leaves = {{.path = {0, 1}, .reward = 1, .num_tokens = 1}}},
        {.name = "broken",
         .leaves = {{.path = {0, 1}, .reward = 1, .num_tokens = 1},
                    {.path = {0, 2}, .reward = bad, .num_tokens = 1}}}};
    try {
      leaf_advantages(queries, {});
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("query broken"));
      EXPECT_THAT(error.what(), HasSubstr("leaf 1"));
    }
  }
}

TEST(Advantage, AllScoresEqual) {
  EXPECT_TRUE(all_scores_equal({}));
  EXPECT_TRUE(all_scores_equal(std::vector<double>{1, 1, 1}));
  EXPECT_FALSE(all_scores_equal(std::vector<double>{1, 1, 0}));
}

}  // namespace
}  // namespace treepo
