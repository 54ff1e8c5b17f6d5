#include "train/trajectory_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "byte_tokenizer.h"

namespace treepo {
namespace {

class TrajectoryText : public testing::Test {
 protected:
  int32_t grow(int32_t parent, const std::vector<int32_t>& tokens, int32_t used = -1) {
    const int32_t node = tree_.add_child(parent, used);
    for (const int32_t token : tokens) tree_.append(node, token, -1, 1);
    return node;
  }

  Tokenizer tokenizer_ = byte_tokenizer();
  TokenText text_{tokenizer_, {0}};
  SearchTree tree_{{2}, 8};
};

TEST_F(TrajectoryText, ACharacterInTwoSegmentsIsWholeInTheTrajectoryAndHalvedInTheNodes) {
  const int32_t first = grow(0, {2, 4});
  const int32_t second = grow(first, {5, 3, 0});
  EXPECT_EQ(trajectory_text(tree_, second, text_), "aéb");
  EXPECT_EQ(segment_text(tree_, first, text_), "a\uFFFD");
  EXPECT_EQ(segment_text(tree_, second, text_), "\uFFFDb<eos>");
  EXPECT_EQ(segment_text(tree_, 0, text_), "");  // the root decodes nothing
}

TEST_F(TrajectoryText, FollowsACutInsideASegment) {
  const int32_t first = grow(0, {2, 4, 5, 3});
  const int32_t second = grow(first, {2}, 3);
  EXPECT_EQ(trajectory_text(tree_, second, text_), "aéa");
}

// The EOS that ends a response is no part of its text; any other special token is.
TEST_F(TrajectoryText, LeavesOutTheLastEosOnly) {
  const int32_t leaf = grow(0, {2, 1, 0, 3, 0});
  EXPECT_TRUE(ends_with_eos(tree_, leaf, text_));
  EXPECT_EQ(trajectory_text(tree_, leaf, text_), "a<tool><eos>b");
  const int32_t open = grow(0, {2, 0, 3});
  EXPECT_FALSE(ends_with_eos(tree_, open, text_));
  EXPECT_EQ(trajectory_text(tree_, open, text_), "a<eos>b");
  const int32_t only_eos = grow(0, {0});
  EXPECT_EQ(trajectory_text(tree_, only_eos, text_), "");
  EXPECT_FALSE(ends_with_eos(tree_, grow(0, {}), text_));
}

class TextRules : public TrajectoryText {
 protected:
  RolloutCallbacks callbacks() {
    RolloutCallbacks made;
    add_text_rules(made, options_, text_);
    return made;
  }
  bool stops(int32_t node) { return callbacks().ends_with_stop_string({}, tree_, node); }
  SegmentFacts facts(int32_t node) { return callbacks().judge_segment({}, tree_, node); }

  StopOptions options_;
};

TEST_F(TextRules, AStopStringMayReachOverSegmentsAndTokens) {
  options_.stop_strings = {"éb", "b stop"};
  const int32_t first = grow(0, {2, 4});
  EXPECT_FALSE(stops(first));
  EXPECT_TRUE(stops(grow(first, {5, 3})));
  EXPECT_FALSE(stops(grow(first, {5, 3, 2})));
  EXPECT_TRUE(stops(grow(0, {2, 2, 2, 2, 2, 2, 3, 8})));
  EXPECT_FALSE(stops(grow(0, {2, 8})));
  EXPECT_FALSE(stops(grow(0, {3})));
}

TEST_F(TextRules, ABoxCountsWhereAnAnswerEndsAPath) {
  const int32_t boxed = grow(0, {2, 6, 3, 7});
  const int32_t open = grow(0, {2, 6, 3});
  EXPECT_FALSE(facts(boxed).answer);
  options_.answer = "boxed";
  EXPECT_TRUE(facts(boxed).answer);
  EXPECT_FALSE(facts(open).answer);
  EXPECT_FALSE(facts(grow(open, {7})).answer);  // not within one segment
}

TEST_F(TextRules, RepetitionIsAskedForByLengthAndCount) {
  const int32_t node = grow(0, {2, 3, 2, 3, 2, 3});
  EXPECT_FALSE(facts(node).repetition);
  options_.repetition = true;
  options_.repetition_length = 2;
  options_.repetition_count = 3;
  EXPECT_TRUE(facts(node).repetition);
  options_.repetition_count = 4;
  EXPECT_FALSE(facts(node).repetition);
  options_.repetition_count = 3;
  options_.repetition_length = 3;
  EXPECT_FALSE(facts(node).repetition);
}

}  // namespace
}  // namespace treepo
