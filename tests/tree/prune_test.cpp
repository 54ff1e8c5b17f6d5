#include "tree/prune.h"

#include <gtest/gtest.h>

#include <vector>

#include "tree/scripted_growth.h"

namespace treepo {
namespace {

using Ints = std::vector<int32_t>;

// Paths of one segment each, node i with the i-th text.
SearchTree paths(const std::vector<std::string>& texts) {
  SearchTree tree({'p'}, 4);
  for (const std::string& text : texts) append_letters(tree, tree.add_child(0), text);
  return tree;
}

TEST(Prune, TheWorstUpToTheShare) {
  const SearchTree tree = paths({"aaaa", "bbbb", "cccc", "dddd"});
  const Ints active = {1, 2, 3, 4};
  GrowthOptions options{.prune = PrunePolicy::logprob, .prune_share = 0.5};
  EXPECT_EQ(paths_to_prune(tree, active, options), (Ints{3, 4}));
  options.prune_share = 0.49;
  EXPECT_EQ(paths_to_prune(tree, active, options), (Ints{4}));
  options.prune_share = 0.24;
  EXPECT_TRUE(paths_to_prune(tree, active, options).empty());
  options.prune_share = 0.99;  // only what is below the mean of -1.5
  EXPECT_EQ(paths_to_prune(tree, active, options), (Ints{3, 4}));
  options.prune_margin = 1;
  EXPECT_EQ(paths_to_prune(tree, active, options), (Ints{4}));
  options.prune_margin = 1.5;  // strictly
  EXPECT_TRUE(paths_to_prune(tree, active, options).empty());
  options.prune_margin = 0;
  options.sequential = true;
  EXPECT_TRUE(paths_to_prune(tree, active, options).empty());
  options.sequential = false;
  options.prune = PrunePolicy::none;
  EXPECT_TRUE(paths_to_prune(tree, active, options).empty());
}

TEST(Prune, NeverAllAndNobodyAmongEquals) {
  const GrowthOptions options{.prune = PrunePolicy::logprob, .prune_share = 0.99};
  EXPECT_TRUE(paths_to_prune(paths({"c"}), Ints{1}, options).empty());
  EXPECT_TRUE(paths_to_prune(paths({"c", "c", "c"}), Ints{1, 2, 3}, options).empty());
  EXPECT_EQ(paths_to_prune(paths({"a", "c", "c"}), Ints{1, 2, 3}, options), (Ints{2, 3}));
  const GrowthOptions half{.prune = PrunePolicy::logprob, .prune_share = 0.4};
  EXPECT_EQ(paths_to_prune(paths({"a", "c", "c"}), Ints{1, 2, 3}, half), (Ints{2}));
}

TEST(Prune, Worth) {
  SearchTree tree = paths({"bbbd", "AABC"});
  append_letters(tree, tree.add_child(1, 2), "aa");  // node 3: b b a a
  EXPECT_EQ(path_worths(PrunePolicy::logprob, tree, Ints{1, 2, 3}),
            (std::vector<double>{-1.5, 0, -0.5}));
  EXPECT_EQ(path_worths(PrunePolicy::entropy, tree, Ints{1, 2}), (std::vector<double>{0, -0.75}));
  append_letters(tree, tree.add_child(1), "!");
  tree.stop(4, StopReason::eos);
  tree.set_score(4, 1);
  append_letters(tree, tree.add_child(2), ".");
  tree.stop(5, StopReason::eos);
  tree.set_score(5, 0);
  EXPECT_EQ(path_worths(PrunePolicy::value, tree, Ints{1, 2, 3}), (std::vector<double>{1, 0, 1}));
}

// Four paths, at most half: "cc" and "dd" go, and their budget (b f + b A = 8) is transferred to
// `segments` below each of the others.
void check_pruned_half(bool train_pruned, const std::vector<std::string>& segments,
                       const std::string& expected) {
  ScriptedGrowth drawn{.growth = {.width = 6,
                                  .depth = 2,
                                  .segment_tokens = 2,
                                  .first_split_min = 4,
                                  .first_split_max = 4,
                                  .prune = PrunePolicy::logprob,
                                  .prune_share = 0.5,
                                  .train_pruned = train_pruned},
                       .script = {{"p", "aa"}, {"p", "bb"}, {"p", "cc"}, {"p", "dd"}},
                       .expected = expected};
  for (const char* after : {"paa", "pbb"}) {
    for (const std::string& segment : segments) drawn.script.push_back({after, segment});
  }
  drawn.check();
}

// Discarded they are no trajectories, so that all six are made by the others.
TEST(Prune, DiscardedDrawn) {
  check_pruned_half(/*train_pruned=*/false, {"ee", "ff", "gg"},
                    "p\n"
                    "  aa\n"
                    "    ee length\n"
                    "    ff length\n"
                    "    gg length\n"
                    "  bb\n"
                    "    ee length\n"
                    "    ff length\n"
                    "    gg length\n"
                    "  cc pruned (discarded)\n"
                    "  dd pruned (discarded)\n");
}

// Kept, they are two of the six.
TEST(Prune, KeptDrawn) {
  check_pruned_half(/*train_pruned=*/true, {"ee", "ff"},
                    "p\n"
                    "  aa\n"
                    "    ee length\n"
                    "    ff length\n"
                    "  bb\n"
                    "    ee length\n"
                    "    ff length\n"
                    "  cc pruned\n"
                    "  dd pruned\n");
}

TEST(Prune, ByEntropyDrawn) {
  ScriptedGrowth{.growth = {.width = 2,
                            .depth = 2,
                            .segment_tokens = 2,
                            .prune = PrunePolicy::entropy,
                            .prune_share = 0.5},
                 .script = {{"p", "AC"}, {"p", "AB"}, {"pAB", "ee"}, {"pAB", "ff"}},
                 .expected =
                     "p\n"
                     "  AC pruned (discarded)\n"
                     "  AB\n"
                     "    ee length\n"
                     "    ff length\n"}
      .check();
}

// At the second barrier "dd" has a verified leaf beside it, "ff" one that was not.
TEST(Prune, ByValueDrawn) {
  ScriptedGrowth{.growth = {.width = 4,
                            .depth = 3,
                            .segment_tokens = 2,
                            .prune = PrunePolicy::value,
                            .prune_share = 0.5},
                 .script = {{"p", "aa"},
                            {"p", "bb"},
                            {"paa", "c!"},
                            {"paa", "dd"},
                            {"pbb", "e."},
                            {"pbb", "ff"},
                            {"paadd", "gg"},
                            {"paadd", "hh"}},
                 .expected =
                     "p\n"
                     "  aa\n"
                     "    c! eos\n"
                     "    dd\n"
                     "      gg length\n"
                     "      hh length\n"
                     "  bb\n"
                     "    e. eos\n"
                     "    ff pruned (discarded)\n"}
      .check();
}

}  // namespace
}  // namespace treepo
