#include "tree/stop_rules.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "tree/scripted_growth.h"

namespace treepo {
namespace {

constexpr StopRules kRules{.segment_tokens = 4, .depth = 3, .response_tokens = 10};

TreeNode node(int32_t depth, int32_t prefix, int32_t tokens) {
  return {.depth = depth, .num_tokens = tokens, .prefix_tokens = prefix};
}

TEST(StopRules, FillsInDefaults) {
  GrowthOptions growth{.depth = 3, .segment_tokens = 4};
  StopOptions stop;
  EXPECT_EQ(make_stop_rules(growth, stop).response_tokens, 12);
  stop.response_tokens = 7;
  EXPECT_EQ(make_stop_rules(growth, stop).response_tokens, 7);
  stop.response_tokens = 100;  // the depth allows no more
  EXPECT_EQ(make_stop_rules(growth, stop).response_tokens, 12);
  EXPECT_FALSE(make_stop_rules(growth, stop).need_segment_facts());
  stop.answer = "boxed_with_eos";
  EXPECT_EQ(make_stop_rules(growth, stop).answer, AnswerRule::boxed_with_eos);
  EXPECT_TRUE(make_stop_rules(growth, stop).need_segment_facts());
  stop.answer = "box";
  EXPECT_EQ(error_of([&] { make_stop_rules(growth, stop); }),
            "stop.answer: unknown rule \"box\" | known are: none, boxed, boxed_with_eos");
}

TEST(StopRules, TokensThatEndASegment) {
  EXPECT_FALSE(ends_segment(kRules, node(1, 0, 3), {}));
  EXPECT_TRUE(ends_segment(kRules, node(1, 0, 4), {}));   // full
  EXPECT_TRUE(ends_segment(kRules, node(3, 8, 2), {}));   // the response is full
  EXPECT_FALSE(ends_segment(kRules, node(3, 7, 2), {}));  // after a cut inside a segment
  EXPECT_TRUE(ends_segment(kRules, node(1, 0, 1), {.eos = true}));
  EXPECT_TRUE(ends_segment(kRules, node(1, 0, 1), {.stop_string = true}));
}

// The documented order: repetition if it has priority, answer, stop string, EOS, response length,
// depth, repetition if it has none. Each rule in turn is taken away.
TEST(StopRules, JudgesInTheDocumentedOrder) {
  StopRules rules = kRules;
  rules.answer = AnswerRule::boxed;
  rules.repetition = true;
  const TreeNode last = node(3, 8, 2);  // largest depth, longest response
  TokenFacts token{.eos = true, .stop_string = true};
  SegmentFacts facts{.answer = true, .repetition = true};
  EXPECT_EQ(judge_segment(rules, last, token, facts), StopReason::repetition);
  rules.repetition_first = false;
  EXPECT_EQ(judge_segment(rules, last, token, facts), StopReason::answer);
  facts.answer = false;
  EXPECT_EQ(judge_segment(rules, last, token, facts), StopReason::stop_string);
  token.stop_string = false;
  EXPECT_EQ(judge_segment(rules, last, token, facts), StopReason::eos);
  token.eos = false;
  EXPECT_EQ(judge_segment(rules, last, token, facts), StopReason::length);
  EXPECT_EQ(judge_segment(rules, node(3, 5, 4), token, facts), StopReason::depth);
  EXPECT_EQ(judge_segment(rules, node(2, 4, 4), token, facts), StopReason::repetition);
  facts.repetition = false;
  EXPECT_EQ(judge_segment(rules, node(2, 4, 4), token, facts), StopReason::none);
}

TEST(StopRules, AnswerRules) {
  const SegmentFacts box{.answer = true};
  StopRules rules = kRules;
  EXPECT_EQ(judge_segment(rules, node(1, 0, 4), {}, box), StopReason::none);
  rules.answer = AnswerRule::boxed;
  EXPECT_EQ(judge_segment(rules, node(1, 0, 4), {}, box), StopReason::answer);
  rules.answer = AnswerRule::boxed_with_eos;
  EXPECT_EQ(judge_segment(rules, node(1, 0, 4), {}, box), StopReason::none);
  EXPECT_EQ(judge_segment(rules, node(1, 0, 2), {.eos = true}, box), StopReason::answer);
  EXPECT_EQ(judge_segment(rules, node(1, 0, 2), {.eos = true}, {}), StopReason::eos);
  EXPECT_EQ(judge_segment(rules, node(1, 0, 4), {}, {.repetition = true}), StopReason::none);
}

// "x" is an answer, "." end of sequence. Only both in one segment are an answer here; an answer
// without an end goes on, and what ends later without an answer ended by itself.
TEST(StopRules, BoxedWithEosDrawn) {
  StopOptions stop;
  stop.answer = "boxed_with_eos";
  ScriptedGrowth{.growth = {.width = 3,
                            .depth = 2,
                            .segment_tokens = 3,
                            .first_split_min = 3,
                            .first_split_max = 3},
                 .stop = stop,
                 .script = {{"p", "ax."}, {"p", "bxb"}, {"p", "c."}, {"pbxb", "d."}},
                 .expected = "p\n  ax. answer\n  bxb\n    d. eos\n  c. eos\n"}
      .check();
}

// "z" twice is a repetition. Judged last it stops what would go on, and nothing that has ended.
TEST(StopRules, RepetitionDrawn) {
  StopOptions stop;
  stop.answer = "boxed";
  stop.repetition = true;
  ScriptedGrowth drawn{
      .growth =
          {.width = 4, .depth = 2, .segment_tokens = 3, .first_split_min = 4, .first_split_max = 4},
      .stop = stop,
      .script = {{"p", "zz."}, {"p", "zzx"}, {"p", "zza"}, {"p", "aaa"}, {"paaa", "zzb"}},
      .expected =
          "p\n  zz. repetition\n  zzx repetition\n  zza repetition\n"
          "  aaa\n    zzb repetition\n"};
  drawn.check();
  drawn.stop.repetition_first = false;
  drawn.expected = "p\n  zz. eos\n  zzx answer\n  zza repetition\n  aaa\n    zzb length\n";
  drawn.check();
}

TEST(StopRules, MinimumLength) {
  StopRules rules = kRules;
  EXPECT_FALSE(is_too_short(rules, node(1, 0, 1)));
  rules.min_response_tokens = 6;
  EXPECT_TRUE(is_too_short(rules, node(2, 4, 1)));
  EXPECT_FALSE(is_too_short(rules, node(2, 4, 2)));
}

}  // namespace
}  // namespace treepo
