#include "tree/fallback_place.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <utility>

#include "tree/scripted_growth.h"

namespace treepo {
namespace {

RandomStream stream(uint64_t query = 1) {
  return {9, Purpose::fallback, query, 0};
}

// A path of 11 tokens: 4 + 4 + 3; below it one that left the second segment after 2 tokens.
SearchTree comb() {
  SearchTree tree({'p'}, 4);
  const auto add = [&tree](int32_t parent, int32_t used, int32_t tokens) {
    const int32_t id = tree.add_child(parent, used);
    for (int32_t i = 0; i < tokens; ++i) tree.append(id, 'a' + id, 0, 0);
    return id;
  };
  add(add(add(0, 0, 4), 4, 4), 4, 3);  // nodes 1, 2, 3
  add(2, 2, 4);                        // node 4
  return tree;
}

TEST(Fallback, KeepsWholeWindows) {
  std::map<int32_t, int> kept;
  for (int32_t i = 0; i < 3000; ++i) ++kept[draw_kept_tokens(11, 4, 0, stream(), 0, i)];
  // 1, 2 or 3 windows are dropped, each with probability 1/3 (5 standard deviations: 130).
  ASSERT_EQ(kept.size(), 3u);
  for (const int32_t tokens : {0, 4, 8}) EXPECT_NEAR(kept[tokens], 1000, 130);
  kept.clear();
  for (int32_t i = 0; i < 3000; ++i) ++kept[draw_kept_tokens(11, 4, 2, stream(), 0, i)];
  EXPECT_EQ(kept.size(), 2u);  // at most two windows: 4 or 8 are kept
  EXPECT_EQ(kept.count(0), 0u);
  EXPECT_EQ(draw_kept_tokens(12, 4, 1, stream(), 0, 0), 8);  // below the path's length
  EXPECT_EQ(draw_kept_tokens(3, 4, 0, stream(), 0, 0), 0);   // shorter than a window: the prompt
}

TEST(Fallback, CutsPaths) {
  const SearchTree tree = comb();
  const auto cut = [&](int32_t leaf, int32_t kept, int64_t depth = 9) {
    const Cut place = cut_path(tree, leaf, kept, depth);
    return std::pair(place.parent, place.parent_used_tokens);
  };
  EXPECT_EQ(cut(3, 10), std::pair(3, 2));
  EXPECT_EQ(cut(3, 8), std::pair(2, 4));  // at a segment's end: a child with all its tokens
  EXPECT_EQ(cut(3, 7), std::pair(2, 3));
  EXPECT_EQ(cut(3, 4), std::pair(1, 4));
  EXPECT_EQ(cut(3, 1), std::pair(1, 1));
  EXPECT_EQ(cut(3, 0), std::pair(0, 0));
  EXPECT_EQ(cut(4, 8), std::pair(4, 2));
  EXPECT_EQ(cut(4, 6), std::pair(2, 2));  // where this path left node 2
  EXPECT_EQ(cut(4, 5), std::pair(2, 1));
  // With depth 3 a cut inside the third segment leaves none for a new one: up to 2 segments.
  EXPECT_EQ(cut(3, 10, 3), std::pair(2, 4));
  EXPECT_EQ(cut(4, 8, 3), std::pair(2, 2));
  EXPECT_EQ(cut(3, 8, 3), std::pair(2, 4));
  EXPECT_EQ(cut(3, 10, 2), std::pair(1, 4));
  EXPECT_EQ(cut(3, 10, 1), std::pair(0, 0));
}

// One trajectory of 12 letters in segments of 4.
SearchTree trajectory(const std::string& letters) {
  SearchTree tree({'p'}, 4);
  int32_t node = 0;
  for (size_t i = 0; i < letters.size(); i += 4) {
    node = tree.add_child(node);
    append_letters(tree, node, letters.substr(i, 4));
  }
  tree.stop(node, StopReason::length);
  return tree;
}

int32_t kept(const SearchTree& tree, const GrowthOptions& options, int32_t round = 0) {
  return kept_tokens(tree, tree.leaves()[0], options, stream(), round, 0);
}

TEST(FallbackPlace, LeastLikelyAndMostUncertainToken) {
  const SearchTree tree = trajectory("abbdBaDdaCca");
  GrowthOptions options{.segment_tokens = 4, .fallback = FallbackPolicy::lowest_logprob};
  EXPECT_EQ(kept(tree, options), 3);  // the first d
  options.fallback_max_windows = 2;   // the last 8 tokens only
  EXPECT_EQ(kept(tree, options), 7);  // the second d
  options.fallback_max_windows = 1;
  EXPECT_EQ(kept(tree, options), 10);  // c
  options.fallback = FallbackPolicy::highest_entropy;
  EXPECT_EQ(kept(tree, options), 9);  // C
  options.fallback_max_windows = 0;
  EXPECT_EQ(kept(tree, options), 6);  // D
  options.fallback = FallbackPolicy::from_start;
  EXPECT_EQ(kept(tree, options), 0);
  options.fallback = FallbackPolicy::lowest_logprob;
  options.fallback_window = 12;
  EXPECT_EQ(kept(tree, options), 3);
  options.fallback_window = 13;  // shorter than one window: the prompt
  EXPECT_EQ(kept(tree, options), 0);
}

// Blocks of 5, 5 and 2 tokens with mean log-probs 0, -1, -2: softmax of ∓ those. Of 6,000 draws 5
// standard deviations are at most 194.
TEST(FallbackPlace, BlocksBySoftmaxOfTheirMeanLogprob) {
  const SearchTree tree = trajectory("aaaaabbbbbcc");
  for (const double sign : {-1.0, 1.0}) {
    GrowthOptions options{
        .segment_tokens = 4,
        .fallback = sign < 0 ? FallbackPolicy::block : FallbackPolicy::inverse_block,
        .fallback_block_tokens = 5};
    std::map<int32_t, int> counts;
    for (int32_t round = 0; round < 6000; ++round) ++counts[kept(tree, options, round)];
    const double sum = 1 + std::exp(-sign) + std::exp(-2 * sign);
    ASSERT_EQ(counts.size(), 3u);
    for (const int32_t block : {0, 1, 2}) {
      EXPECT_NEAR(counts[5 * block], 6000 * std::exp(-sign * block) / sum, 194);
    }
    options.fallback_max_windows = 2;  // blocks that begin in the last 8 tokens
    counts.clear();
    for (int32_t round = 0; round < 100; ++round) ++counts[kept(tree, options, round)];
    EXPECT_EQ(counts.size(), 2u);
    EXPECT_EQ(counts.count(0), 0u);
    options.fallback_block_tokens = 128;  // one block, however far back it begins
    EXPECT_EQ(kept(tree, options), 0);
  }
}

}  // namespace
}  // namespace treepo
