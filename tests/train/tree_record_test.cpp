#include "train/tree_record.h"

#include <gtest/gtest.h>

#include <string>

#include "byte_tokenizer.h"
#include "hand_made_verifier.h"
#include "rollout/tree_json.h"

namespace treepo {
namespace {

// Prompt "a"; "aÃ" leads to "©b<eos>" and to "b", the first of which is a whole "é".
struct Record {
  Record() {
    const int32_t inner = tree.add_child(0);
    tree.append(inner, 2, -0.5, 1.5);
    tree.append(inner, 4, -0.25, 1.25);
    const int32_t left = tree.add_child(inner), right = tree.add_child(inner);
    for (const int32_t token : {5, 3, 0}) tree.append(left, token, -1, 1);
    tree.append(right, 3, -2, 0.5);
    tree.stop(right, StopReason::depth);
    tree.stop(left, StopReason::eos);
    query.id = 3;
    query.problem = problem_of("p7", "a");
    query.problem.answer.emplace("b");
    query.prompt = {2};
  }

  Tokenizer tokenizer = byte_tokenizer();
  TokenText text{tokenizer, {0}};
  TrainingQuery query;
  SearchTree tree{{2}, 3};
};

TEST(TreeRecord, TextsOfNodesAndTrajectories) {
  const Record r;
  const Json record = Json::parse(unscored_record(r.query, r.tree, r.text).dump());
  EXPECT_EQ(record["query_id"], "p7");
  EXPECT_EQ(record["prompt"], Json({2}));
  ASSERT_EQ(record["nodes"].size(), 4u);
  EXPECT_EQ(record["nodes"][1]["text"], "a\uFFFD");
  EXPECT_EQ(record["nodes"][2]["text"], "\uFFFDb<eos>");
  EXPECT_EQ(record["nodes"][3]["text"], "b");
  // Joined they are the segment's text; half a character comes with the last token.
  EXPECT_EQ(record["nodes"][1]["token_texts"], Json({"a", "\uFFFD"}));
  EXPECT_EQ(record["nodes"][2]["token_texts"], Json({"\uFFFD", "b", "<eos>"}));
  EXPECT_EQ(record["nodes"][1]["logprobs"], Json({-0.5, -0.25}));
  EXPECT_EQ(record["nodes"][1]["entropies"], Json({1.5, 1.25}));
  EXPECT_EQ(record["nodes"][2]["stop"], "eos");
  ASSERT_EQ(record["leaves"].size(), 2u);  // in the order in which they stopped
  EXPECT_EQ(record["leaves"][0]["path"], Json({0, 1, 3}));
  EXPECT_EQ(record["leaves"][0]["text"], "a\uFFFDb");
  EXPECT_EQ(record["leaves"][1]["text"], "aéb");
  EXPECT_EQ(record["leaves"][1]["end"], "eos");
  EXPECT_EQ(record["leaves"][1]["num_tokens"], 5);
  EXPECT_FALSE(record["leaves"][0].contains("score"));
  EXPECT_FALSE(record.contains("answer"));
}

TEST(TreeRecord, ScoresRewardsAndAdvantages) {
  const Record r;
  ScoredTree scored(r.query, r.tree);
  scored.verdicts = {verdict(0, false, "no EOS"), verdict(1, true, "right")};
  scored.rewards = {-0.5, 1};
  Json record = Json::parse(scored_record(scored, r.text).dump());
  EXPECT_EQ(record["prompt_text"], "a");
  EXPECT_EQ(record["answer"], "b");
  EXPECT_EQ(record["leaves"][0]["score"], 0.0);
  EXPECT_EQ(record["leaves"][0]["reward"], -0.5);
  EXPECT_EQ(record["leaves"][0]["reason"], "no EOS");
  EXPECT_EQ(record["leaves"][1]["reason"], "right");
  EXPECT_FALSE(record["leaves"][1].contains("advantage"));  // a dropped tree

  scored.advantages = {-1.25, 0.75};
  scored.query.problem.answer.reset();
  record = Json::parse(scored_record(scored, r.text).dump());
  EXPECT_EQ(record["leaves"][0]["advantage"], -1.25);
  EXPECT_EQ(record["leaves"][1]["advantage"], 0.75);
  EXPECT_FALSE(record.contains("answer"));
}

TEST(TreeRecord, ReadsBackAsTheSameTree) {
  const Record r;
  const Json record = Json::parse(unscored_record(r.query, r.tree, r.text).dump());
  const TreeRecord back = tree_from_json(record, "here");
  EXPECT_EQ(back.tree.leaves(), r.tree.leaves());
  for (const int32_t leaf : r.tree.leaves()) {
    EXPECT_EQ(back.tree.response(leaf), r.tree.response(leaf));
    EXPECT_EQ(back.tree.response_logprobs(leaf), r.tree.response_logprobs(leaf));
  }
}

}  // namespace
}  // namespace treepo
