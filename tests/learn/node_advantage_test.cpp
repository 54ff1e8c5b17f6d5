#include "learn/node_advantage.h"

#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "learn/random_tree.h"

namespace treepo {
namespace {

using ::testing::DoubleEq;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using enum AdvantageKind;

// The example of node_advantages() in its header; segments of 2, 3, 4 and 5 tokens.
//   root ─┬─ 1 ─┬─ 3  R = 1
//         │     └─ 4  R = 0.5
//         └─ 2        R = 0
QueryRewards drawn_query() {
  SearchTree tree({7}, 8);
  const int32_t parents[] = {0, 0, 1, 1}, tokens[] = {2, 3, 4, 5};
  for (size_t i = 0; i < 4; ++i) {
    const int32_t node = tree.add_child(parents[i]);
    for (int32_t t = 0; t < tokens[i]; ++t) tree.append(node, 1, -0.5, 0.5);
  }
  for (const int32_t leaf : {2, 3, 4}) tree.stop(leaf, StopReason::eos);
  return query_rewards("drawn", tree, tree.leaves(), std::vector<double>{0, 1, 0.5});
}

TEST(NodeAdvantage, SegmentIsValueMinusParentsValue) {
  const std::vector<QueryRewards> queries = {drawn_query()};
  const auto advantages = node_advantages(queries, {.kind = segment, .whiten = false});
  EXPECT_THAT(advantages, ElementsAre(ElementsAre(0, 0.25, -0.5, 0.25, -0.25)));
  // Leaf 2 has node 2 alone; leaf 3 nodes 1 and 3 with 2 and 4 tokens; leaf 4 with 2 and 5.
  EXPECT_THAT(path_means(queries[0], advantages[0]),
              ElementsAre(-0.5, 0.25, DoubleNear((2 * 0.25 - 5 * 0.25) / 7, 1e-15)));
  const auto scaled =
      node_advantages(queries, {.kind = segment, .query_std = true, .whiten = false, .epsilon = 0});
  for (size_t node = 0; node < 5; ++node)
    EXPECT_DOUBLE_EQ(scaled[0][node], advantages[0][node] / 0.5);  // std of 0, 1, 0.5
}

TEST(NodeAdvantage, ExpectedRewardIsFromTheBottomUp) {
  const std::vector<QueryRewards> queries = {drawn_query()};
  const auto advantages = node_advantages(queries, {.kind = expected_reward, .whiten = false});
  EXPECT_THAT(advantages, ElementsAre(ElementsAre(0, 0.375, -0.375, 0.25, -0.25)));
}

TEST(NodeAdvantage, SiblingNormalizedDividesByTheSiblingsStd) {
  const std::vector<QueryRewards> queries = {drawn_query()};
  const auto advantages =
      node_advantages(queries, {.kind = sibling_normalized, .whiten = false, .epsilon = 1e-12});
  const double half = std::sqrt(0.5);  // of two numbers, half their difference over their std
  EXPECT_THAT(advantages[0], ElementsAre(0, DoubleNear(half, 1e-10), DoubleNear(-half, 1e-10),
                                         DoubleNear(half, 1e-10), DoubleNear(-half, 1e-10)));
}

// root ─ 1 ─┬─ (a leaf that ends at node 1, R = 1)
//           └─ 2 ─ 3   R = 0        nodes 2 and 3 have no siblings with tokens
TEST(NodeAdvantage, ALeafAtAnInnerNodeIsOneMoreChild) {
  QueryRewards query{.name = "q", .leaves = {}};
  query.leaves.push_back({.path = {0, 1}, .reward = 1, .num_tokens = 2, .used_tokens = {0, 2}});
  query.leaves.push_back(
      {.path = {0, 1, 2, 3}, .reward = 0, .num_tokens = 6, .used_tokens = {0, 2, 2, 2}});
  const std::vector<QueryRewards> queries = {query};
  for (const AdvantageKind kind : {segment, expected_reward}) {
    EXPECT_THAT(node_advantages(queries, {.kind = kind, .whiten = false}),
                ElementsAre(ElementsAre(0, 0, -0.5, 0)));
  }
  const auto normalized =
      node_advantages(queries, {.kind = sibling_normalized, .whiten = false, .epsilon = 1e-12});
  EXPECT_THAT(normalized[0], ElementsAre(0, 0, DoubleNear(-std::sqrt(0.5), 1e-10), 0));
}

// Root mean square 1 over the tokens of all trajectories, a shared token once for each of them;
// what has nothing to be compared with keeps 0.
TEST(NodeAdvantage, WhiteningScalesOnly) {
  QueryRewards chain{.name = "chain", .leaves = {}};
  chain.leaves.push_back(
      {.path = {0, 1, 2}, .reward = 5, .num_tokens = 7, .used_tokens = {0, 3, 4}});
  const std::vector<QueryRewards> queries = {drawn_query(), drawn_query(), chain};
  for (const AdvantageKind kind : {segment, expected_reward, sibling_normalized}) {
    const auto plain = node_advantages(queries, {.kind = kind, .whiten = false});
    const auto whitened = node_advantages(queries, {.kind = kind});
    double tokens = 0, squares = 0;
    for (size_t q = 0; q < queries.size(); ++q) {
      for (const LeafReward& leaf : queries[q].leaves) {
        for (size_t depth = 1; depth < leaf.path.size(); ++depth) {
          const double value = whitened[q][static_cast<size_t>(leaf.path[depth])];
          tokens += leaf.used_tokens[depth];
          squares += leaf.used_tokens[depth] * value * value;
        }
      }
    }
    EXPECT_EQ(tokens, 2 * (3 + 6 + 7) + 7);
    EXPECT_NEAR(squares / tokens, 1, 1e-6);
    EXPECT_THAT(whitened[2], ElementsAre(0, 0, 0));
    EXPECT_NEAR(whitened[0][1] / plain[0][1], whitened[1][4] / plain[1][4], 1e-12);
  }
}

// Random trees against a twin that looks the definition up for each node anew, and the property
// that siblings' advantages cancel.
TEST(NodeAdvantage, RandomTreesEqualTheDefinition) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    RandomTrees random(seed, 3);
    const SearchTree& tree = random.tree(14, 4);
    if (tree.leaves().empty()) continue;
    std::vector<double> rewards;
    for (size_t i = 0; i < tree.leaves().size(); ++i) rewards.push_back(random.integer(0, 4) / 4.0);
    const std::vector<QueryRewards> queries = {query_rewards("q", tree, tree.leaves(), rewards)};

    // Values of what follows a node: its children's, and the rewards of leaves that end there.
    std::function<std::vector<double>(int32_t)> outcomes;
    const std::function<double(int32_t)> value = [&](int32_t node) {
      double sum = 0;
      const std::vector<double> all = outcomes(node);
      for (const double outcome : all) sum += outcome;
      return sum / static_cast<double>(all.size());
    };
    outcomes = [&](int32_t node) {
      std::vector<double> all;
      std::set<int32_t> children;
      for (const LeafReward& leaf : queries[0].leaves) {
        for (size_t depth = 0; depth < leaf.path.size(); ++depth) {
          if (leaf.path[depth] != node) continue;
          if (depth + 1 == leaf.path.size()) all.push_back(leaf.reward);
          if (depth + 1 < leaf.path.size()) children.insert(leaf.path[depth + 1]);
        }
      }
      for (const int32_t child : children) all.push_back(value(child));
      return all;
    };
    const auto expected = node_advantages(queries, {.kind = expected_reward, .whiten = false})[0];
    const auto normalized = node_advantages(
        queries, {.kind = sibling_normalized, .whiten = false, .epsilon = 1e-12})[0];
    std::set<int32_t> passed;
    for (const LeafReward& leaf : queries[0].leaves)
      passed.insert(leaf.path.begin(), leaf.path.end());
    for (const int32_t node : passed) {
      if (node == 0) continue;
      const std::vector<double> siblings = outcomes(tree.node(node).parent);
      const double mean = value(tree.node(node).parent);
      double squares = 0;
      for (const double sibling : siblings) squares += (sibling - mean) * (sibling - mean);
      const double difference = value(node) - mean;
      EXPECT_NEAR(expected[static_cast<size_t>(node)], difference, 1e-14);
      if (squares < 1e-12) continue;
      const double std = std::sqrt(squares / static_cast<double>(siblings.size() - 1));
      EXPECT_NEAR(normalized[static_cast<size_t>(node)], difference / std, 1e-9);
    }
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

}  // namespace
}  // namespace treepo
