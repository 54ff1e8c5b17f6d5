#include "learn/pack.h"

#include <gmock/gmock.h>

#include <map>
#include <numeric>
#include <set>
#include <tuple>

#include "base/error.h"
#include "learn/random_tree.h"

namespace treepo {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// What is known of a decoded token without any packing. The key is (tree, slot, context): the
// tokens that it must see, prompt included.
using Key = std::tuple<int32_t, int64_t, std::vector<int32_t>>;
struct Facts {
  int32_t token = 0, leaves = 0, positive_leaves = 0, negative_leaves = 0, masked_leaves = 0;
  double positive = 0, negative = 0, weight = 0;
  std::multiset<std::tuple<double, double, int64_t>> trajectories;  // advantage, weight, tokens
};
using FactsByKey = std::map<Key, Facts>;

// Walks every trajectory from its first token to its last.
FactsByKey facts_of_trajectories(const std::vector<TrainingTree>& batch, LeafWeight weighting) {
  FactsByKey facts;
  for (size_t b = 0; b < batch.size(); ++b) {
    const SearchTree& tree = *batch[b].tree;
    double tree_tokens = 0;
    for (const int32_t leaf : batch[b].leaves) tree_tokens += tree.path_tokens(leaf);
    for (size_t i = 0; i < batch[b].leaves.size(); ++i) {
      const int32_t leaf = batch[b].leaves[i];
      double weight = 1.0;
      if (weighting == LeafWeight::inverse_length) weight /= tree.path_tokens(leaf);
      if (weighting == LeafWeight::inverse_tree_tokens) weight /= tree_tokens;
      const bool masked = !batch[b].masked.empty() && batch[b].masked[i];
      const std::vector<double>& by_node = batch[b].node_advantages;
      std::vector<int32_t> context(tree.prompt().begin(), tree.prompt().end());
      const auto path = tree.path(leaf);
      const auto used = tree.path_used_tokens(leaf);
      for (size_t n = 1; n < path.size(); ++n) {
        const double advantage =
            by_node.empty() ? batch[b].advantages[i] : by_node[static_cast<size_t>(path[n])];
        for (int32_t offset = 0; offset < used[n]; ++offset) {
          const int32_t token = tree.tokens(path[n])[static_cast<size_t>(offset)];
          Facts& f =
              facts[{static_cast<int32_t>(b), path[n] * tree.segment_tokens() + offset, context}];
          f.token = token;
          ++f.leaves;
          f.masked_leaves += masked;
          f.weight += weight;
          f.trajectories.emplace(batch[b].advantages[i], masked ? 0.0 : weight,
                                 tree.path_tokens(leaf));
          if (!masked) {
            f.positive_leaves += advantage > 0;
            f.negative_leaves += advantage < 0;
            f.positive += weight * std::max(advantage, 0.0);
            f.negative += weight * std::min(advantage, 0.0);
          }
          context.push_back(token);
        }
      }
    }
  }
  return facts;
}

// The same read off packed trees, by the visibility rule j <= i < subtree_end[j].
void add_facts_of_pack(const PackedTrees& pack, FactsByKey& facts) {
  pack.check_invariants();
  for (size_t t = 0; t < pack.target_token.size(); ++t) {
    const int64_t source = pack.source_row[static_cast<size_t>(pack.target_source[t])];
    std::vector<int32_t> context;
    for (int64_t j = 0; j <= source; ++j) {
      if (source < pack.sequence.subtree_end[static_cast<size_t>(j)])
        context.push_back(pack.sequence.tokens[static_cast<size_t>(j)]);
    }
    Facts& f = facts[{pack.target_tree[t], pack.target_slot[t], context}];
    f.token = static_cast<int32_t>(pack.target_token[t]);
    f.leaves += pack.num_leaves[t];
    f.positive_leaves += pack.positive_leaves[t];
    f.negative_leaves += pack.negative_leaves[t];
    f.masked_leaves += pack.masked_leaves[t];
    for (int32_t i = 0; i < pack.num_leaves[t]; ++i) {
      const auto& trajectory = pack.trajectories[static_cast<size_t>(pack.first_trajectory[t] + i)];
      f.trajectories.emplace(trajectory.advantage, trajectory.weight, trajectory.num_tokens);
    }
    f.positive += pack.positive[t];
    f.negative += pack.negative[t];
    f.weight += pack.weight[t];
  }
}

void expect_equal(const FactsByKey& found, const FactsByKey& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [key, e] : expected) {
    const auto it = found.find(key);
    ASSERT_NE(it, found.end()) << "no target for slot " << std::get<1>(key);
    const Facts& f = it->second;
    EXPECT_EQ(f.token, e.token);
    EXPECT_EQ(f.leaves, e.leaves);
    EXPECT_EQ(f.positive_leaves, e.positive_leaves);
    EXPECT_EQ(f.negative_leaves, e.negative_leaves);
    EXPECT_EQ(f.masked_leaves, e.masked_leaves);
    EXPECT_EQ(f.trajectories, e.trajectories);
    EXPECT_NEAR(f.positive, e.positive, 1e-14);
    EXPECT_NEAR(f.negative, e.negative, 1e-14);
    EXPECT_NEAR(f.weight, e.weight, 1e-14);
  }
}

// prompt 5 6 ─ node 1: 7 8 9 ─ node 2: 3          advantage 1
//                     ╲ (after 7) node 3: 4 2      advantage -0.5
// and node 1 itself ends a trajectory, advantage 2.
TEST(Pack, DrawnTree) {
  SearchTree tree({5, 6}, 3);
  const int32_t a = tree.add_child(0);
  for (const int32_t token : {7, 8, 9}) tree.append(a, token, -0.1 * token, 0);
  const int32_t b = tree.add_child(a), c = tree.add_child(a, 1);
  tree.append(b, 3, -0.3, 0);
  tree.append(c, 4, -0.4, 0);
  tree.append(c, 2, -0.2, 0);
  const std::vector<TrainingTree> batch = {
      {.tree = &tree, .leaves = {b, c, a}, .advantages = {1, -0.5, 2}}};

  const PackedTrees pack = pack_trees(batch);
  pack.check_invariants();
  //                                         prompt  7  4  8  9
  EXPECT_THAT(pack.sequence.tokens, ElementsAre(5, 6, 7, 4, 8, 9));
  EXPECT_THAT(pack.sequence.positions, ElementsAre(0, 1, 2, 3, 3, 4));
  EXPECT_THAT(pack.sequence.subtree_end, ElementsAre(6, 6, 6, 4, 6, 6));
  EXPECT_THAT(pack.source_row, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(pack.target_source, ElementsAre(0, 1, 1, 2, 3, 4));
  EXPECT_THAT(pack.target_token, ElementsAre(7, 4, 8, 2, 9, 3));
  EXPECT_THAT(pack.positive, ElementsAre(3, 0, 3, 0, 3, 1));
  EXPECT_THAT(pack.negative, ElementsAre(-0.5, -0.5, 0, -0.5, 0, 0));
  EXPECT_THAT(pack.num_leaves, ElementsAre(3, 1, 2, 1, 2, 1));
  // In the order in which they are laid out: node 3's, node 2's, node 1's.
  std::vector<double> advantages;
  for (const PackedTrajectory& trajectory : pack.trajectories)
    advantages.push_back(trajectory.advantage);
  EXPECT_THAT(advantages, ElementsAre(-0.5, 1, 2));
  EXPECT_THAT(pack.first_trajectory, ElementsAre(0, 0, 1, 0, 1, 1));
  EXPECT_THAT(pack.old_logprob, ElementsAre(DoubleEq(-0.7), -0.4, -0.8, -0.2, -0.9, -0.3));
  EXPECT_THAT(pack.target_slot, ElementsAre(3, 9, 4, 10, 5, 6));
  EXPECT_EQ(pack.trajectory_tokens(), 4 + 3 + 3);

  const PackedTrees apart = pack_apart(batch);
  EXPECT_THAT(apart.sequence.tokens, ElementsAre(5, 6, 7, 8, 9, 5, 6, 7, 4, 5, 6, 7, 8));
  EXPECT_EQ(apart.trajectory_tokens(), 10);
}

TEST(Pack, LogprobsOfEachKindReachTheirTargets) {
  SearchTree tree({1}, 2);
  const int32_t a = tree.add_child(0);
  tree.append(a, 7, -0.7, 0);
  tree.append(a, 8, -0.8, 0);
  TrainingTree training{.tree = &tree, .leaves = {a}, .advantages = {1}};
  training.old_logprobs = {0, 0, -1, -2};
  training.reference_logprobs = {0, 0, -3, -4};
  for (const PackedTrees& pack : {pack_trees({&training, 1}), pack_apart({&training, 1})}) {
    EXPECT_THAT(pack.sampled_logprob, ElementsAre(-0.7, -0.8));
    EXPECT_THAT(pack.old_logprob, ElementsAre(-1, -2));
    EXPECT_THAT(pack.reference_logprob, ElementsAre(-3, -4));
    EXPECT_TRUE(pack.old_recomputed);
  }
}

TEST(Pack, RandomTreesAgreeWithTheirTrajectories) {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    RandomTrees random(seed, 3);
    auto batch = random.batch(3);
    if (seed % 3 == 0) random.draw_node_advantages(batch);  // in place of those of leaves
    if (seed % 4 == 0) {
      for (TrainingTree& training : batch)
        for (size_t i = 0; i < training.leaves.size(); ++i)
          training.masked.push_back(random.integer(0, 2) == 0);
    }
    for (const LeafWeight weighting :
         {LeafWeight::one, LeafWeight::inverse_length, LeafWeight::inverse_tree_tokens}) {
      const FactsByKey expected = facts_of_trajectories(batch, weighting);
      const PackedTrees packed = pack_trees(batch, weighting);
      FactsByKey found;
      add_facts_of_pack(packed, found);
      expect_equal(found, expected);
      // No token twice, and none that nothing looks at.
      EXPECT_EQ(packed.num_targets(), static_cast<int64_t>(expected.size()));
      int64_t prompts = 0;
      for (const TrainingTree& training : batch) {
        if (!training.leaves.empty())
          prompts += static_cast<int64_t>(training.tree->prompt().size()) - 1;
      }
      EXPECT_EQ(packed.sequence.size(), packed.num_sources() + prompts);

      FactsByKey apart;
      add_facts_of_pack(pack_apart(batch, weighting), apart);
      expect_equal(apart, expected);
    }
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

// The tree as it were had only these leaves been sampled, each segment as long as they use it.
SearchTree tree_of_leaves(const SearchTree& tree, std::vector<int32_t>& leaves) {
  std::vector<int32_t> used_tokens(static_cast<size_t>(tree.num_nodes()));
  for (const int32_t leaf : leaves) {
    const auto path = tree.path(leaf);
    const auto used = tree.path_used_tokens(leaf);
    for (size_t n = 1; n < path.size(); ++n) {
      int32_t& most = used_tokens[static_cast<size_t>(path[n])];
      most = std::max(most, used[n]);
    }
  }
  SearchTree pruned({tree.prompt().begin(), tree.prompt().end()}, tree.segment_tokens());
  std::vector<int32_t> new_id(used_tokens.size());
  for (int32_t node = 1; node < tree.num_nodes(); ++node) {
    const int32_t tokens = used_tokens[static_cast<size_t>(node)];
    if (tokens == 0) continue;
    const auto& old = tree.node(node);
    const int32_t id = pruned.add_child(new_id[static_cast<size_t>(old.parent)],
                                        old.parent == 0 ? -1 : old.parent_used_tokens);
    new_id[static_cast<size_t>(node)] = id;
    for (size_t i = 0; i < static_cast<size_t>(tokens); ++i)
      pruned.append(id, tree.tokens(node)[i], tree.logprobs(node)[i], 0);
  }
  for (int32_t& leaf : leaves) leaf = new_id[static_cast<size_t>(leaf)];
  return pruned;
}

// Trajectories that a filter dropped take their unshared tokens with them.
TEST(Pack, DroppedTrajectoriesLeaveNothingBehind) {
  int64_t dropped = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    RandomTrees random(seed, 3);
    const SearchTree& tree = random.tree(14, 4);
    TrainingTree all{.tree = &tree,
                     .leaves = tree.leaves(),
                     .advantages = std::vector<double>(tree.leaves().size(), 1.0)};
    TrainingTree kept = all;
    while (kept.leaves.size() > 1 && random.integer(0, 3) > 0) {
      kept.leaves.pop_back();
      kept.advantages.pop_back();
    }
    TrainingTree alone = kept;
    const SearchTree pruned = tree_of_leaves(tree, alone.leaves);
    alone.tree = &pruned;
    const PackedTrees found = pack_trees({&kept, 1}), expected = pack_trees({&alone, 1});
    EXPECT_EQ(found.sequence.tokens, expected.sequence.tokens);
    EXPECT_EQ(found.sequence.positions, expected.sequence.positions);
    EXPECT_EQ(found.sequence.subtree_end, expected.sequence.subtree_end);
    EXPECT_EQ(found.target_token, expected.target_token);
    EXPECT_EQ(found.positive, expected.positive);
    dropped += pack_trees({&all, 1}).sequence.size() - found.sequence.size();
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  EXPECT_GT(dropped, 0);
}

// As if the masked leaves had never been there, but for the query's tokens, which weights divide
// by.
TEST(Pack, MaskedTrajectoriesCanBeDropped) {
  int64_t dropped = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    RandomTrees random(seed, 3);
    auto batch = random.batch(3, /*with_old=*/true);
    std::vector<TrainingTree> kept = batch;
    for (size_t b = 0; b < batch.size(); ++b) {
      kept[b].leaves.clear();
      kept[b].advantages.clear();
      for (size_t i = 0; i < batch[b].leaves.size(); ++i) {
        batch[b].masked.push_back(random.integer(0, 2) == 0);
        if (batch[b].masked[i]) continue;
        kept[b].leaves.push_back(batch[b].leaves[i]);
        kept[b].advantages.push_back(batch[b].advantages[i]);
      }
    }
    for (const LeafWeight weighting : {LeafWeight::one, LeafWeight::inverse_length}) {
      for (const auto pack : {pack_trees, pack_apart}) {
        const PackedTrees found = pack(batch, weighting, MaskedLeaves::dropped),
                          expected = pack(kept, weighting, MaskedLeaves::packed);
        found.check_invariants();
        EXPECT_EQ(found.sequence.tokens, expected.sequence.tokens);
        EXPECT_EQ(found.sequence.subtree_end, expected.sequence.subtree_end);
        EXPECT_EQ(found.target_token, expected.target_token);
        EXPECT_EQ(found.positive, expected.positive);
        EXPECT_EQ(found.weight, expected.weight);
        EXPECT_EQ(found.num_leaves, expected.num_leaves);
        EXPECT_EQ(found.first_trajectory, expected.first_trajectory);
      }
    }
    const LeafWeight by_tree = LeafWeight::inverse_tree_tokens;
    const PackedTrees all = pack_trees(batch, by_tree),
                      found = pack_trees(batch, by_tree, MaskedLeaves::dropped);
    std::map<std::pair<int32_t, int64_t>, double> positive;
    for (size_t t = 0; t < all.positive.size(); ++t)
      positive[{all.target_tree[t], all.target_slot[t]}] = all.positive[t];
    for (size_t t = 0; t < found.positive.size(); ++t)
      EXPECT_NEAR(found.positive[t], (positive[{found.target_tree[t], found.target_slot[t]}]),
                  1e-15);
    dropped += all.sequence.size() - found.sequence.size();
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  EXPECT_GT(dropped, 0);
}

bool is_chain(const PackedSequence& sequence) {
  return sequence.positions.back() + 1 == sequence.size();
}

TEST(SplitPacks, EveryTargetOnceAndWithinTheBudget) {
  int64_t repeated = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    RandomTrees random(seed, 3);
    const auto batch = random.batch(4, /*with_old=*/true, /*with_reference=*/true);
    const PackedTrees whole = pack_trees(batch);
    const int64_t budget = random.integer(1, 40);
    FactsByKey expected, found;
    add_facts_of_pack(whole, expected);
    int64_t targets = 0, tokens = 0;
    for (const PackedTrees& pack : split_packs(whole, budget)) {
      EXPECT_TRUE(pack.sequence.size() <= budget || is_chain(pack.sequence)) << "budget " << budget;
      EXPECT_GT(pack.num_targets(), 0);
      EXPECT_TRUE(pack.old_recomputed);
      add_facts_of_pack(pack, found);
      targets += pack.num_targets();
      tokens += pack.sequence.size();
    }
    expect_equal(found, expected);
    EXPECT_EQ(targets, whole.num_targets());
    repeated += tokens - whole.sequence.size();
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  EXPECT_GT(repeated, 0) << "no tree was ever cut";
}

TEST(SplitPacks, CutsBetweenTreesWherePossible) {
  std::vector<Example> examples(5,
                                {.prompt = {1, 2}, .response = {3, 4, 5}});  // 4 packed tokens each
  const auto packs = split_packs(pack_examples(examples), 10);
  ASSERT_EQ(packs.size(), 3u);
  EXPECT_EQ(packs[0].sequence.size(), 8);
  EXPECT_EQ(packs[1].sequence.size(), 8);
  EXPECT_EQ(packs[2].sequence.size(), 4);
  EXPECT_THAT(split_packs(PackedTrees{}, 10), IsEmpty());
}

// A small tree, then one that fits a pack of its own: it must stay whole, however empty the first
// pack.
TEST(SplitPacks, KeepsATreeWholeThatFits) {
  SearchTree small({1}, 8), large({2}, 8);
  const auto grow = [](SearchTree& tree, int32_t parent, int32_t length) {
    const int32_t node = tree.add_child(parent);
    for (int32_t i = 0; i < length; ++i) tree.append(node, 3, -1, 0);
    return node;
  };
  const int32_t only = grow(small, 0, 4), stem = grow(large, 0, 2);
  const int32_t left = grow(large, stem, 6), right = grow(large, stem, 6);
  const std::vector<TrainingTree> batch = {
      {.tree = &small, .leaves = {only}, .advantages = {1}},
      {.tree = &large, .leaves = {left, right}, .advantages = {1, -1}}};
  const auto packs = split_packs(pack_trees(batch), 14);
  ASSERT_EQ(packs.size(), 2u);
  EXPECT_EQ(packs[0].sequence.size(), 4);
  EXPECT_EQ(packs[1].sequence.size(), 13);
}

TEST(Pack, Examples) {
  const std::vector<Example> examples = {{.prompt = {1, 2}, .response = {3, 4}},
                                         {.prompt = {9}, .response = {}},
                                         {.prompt = {5}, .response = {6}}};
  const PackedTrees pack = pack_examples(examples);
  pack.check_invariants();
  EXPECT_THAT(pack.sequence.tokens, ElementsAre(1, 2, 3, 5));
  EXPECT_THAT(pack.sequence.subtree_end, ElementsAre(3, 3, 3, 4));
  EXPECT_THAT(pack.source_row, ElementsAre(1, 2, 3));
  EXPECT_THAT(pack.target_token, ElementsAre(3, 4, 6));
  EXPECT_THAT(pack.weight, ElementsAre(1, 1, 1));
}

// A chat of two questions: 3 4 and 7 are learned, the question 5 6 between them is read only, and
// what follows the last answer is not run.
TEST(Pack, ExamplesOfWhichSomeTokensAreReadOnly) {
  const std::vector<Example> examples = {
      {.prompt = {1, 2},
       .response = {3, 4, 5, 6, 7, 8, 9},
       .learned = {true, true, false, false, true, false, false}},
      {.prompt = {5}, .response = {6}, .learned = {false}}};
  const PackedTrees pack = pack_examples(examples);
  pack.check_invariants();
  EXPECT_THAT(pack.sequence.tokens, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(pack.source_row, ElementsAre(1, 2, 5));
  EXPECT_THAT(pack.target_token, ElementsAre(3, 4, 7));
  EXPECT_THAT(pack.target_slot, ElementsAre(0, 1, 4));
  ASSERT_EQ(pack.trajectories.size(), 1u);
  EXPECT_EQ(pack.trajectories[0].num_tokens, 3);
}

TEST(Pack, EmptyPromptIsAnError) {
  EXPECT_THROW(pack_examples(std::vector<Example>{{.prompt = {}, .response = {1}}}), Error);
}

TEST(Pack, TreesWithoutTrajectoriesTakeNoSpace) {
  SearchTree tree({1, 2, 3}, 2);
  tree.append(tree.add_child(0), 4, -1, 0);
  const std::vector<TrainingTree> batch = {{.tree = &tree}};
  EXPECT_EQ(pack_trees(batch).sequence.size(), 0);
  EXPECT_EQ(pack_apart(batch).sequence.size(), 0);
  EXPECT_EQ(pack_trees({}).num_targets(), 0);
}

}  // namespace
}  // namespace treepo
