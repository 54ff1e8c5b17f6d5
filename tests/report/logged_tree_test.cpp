#include "report/logged_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "report/small_log.h"
#include "support/expect_error.h"

namespace treepo {
namespace {

using testing::HasSubstr;

TEST(LoggedTree, ReadsWhatALineSays) {
  const LoggedTree tree = read_logged_tree(small_tree_line(), "here");
  EXPECT_EQ(tree.step, 4);
  EXPECT_EQ(tree.query_id, "q");
  EXPECT_EQ(tree.prompt_tokens, 2);
  ASSERT_EQ(tree.nodes.size(), 4u);
  EXPECT_DOUBLE_EQ(tree.nodes[1].mean_logprob, -1.0);
  EXPECT_TRUE(std::isnan(tree.nodes[2].mean_logprob));
  EXPECT_FALSE(tree.nodes[2].fallback);
  EXPECT_TRUE(tree.nodes[3].fallback);  // inside the segment, although the line does not say so
  EXPECT_EQ(tree.nodes[3].parent_used_tokens, 1);
  EXPECT_EQ(tree.leaves[1].node, 3);
  EXPECT_EQ(tree.leaves[1].reward, 0.0);
  EXPECT_EQ(tree.leaves[0].advantage, 0.5);
  EXPECT_TRUE(std::isnan(tree.leaves[1].advantage));
  EXPECT_EQ(tree.unique_tokens(), 6);
  EXPECT_EQ(tree.trajectory_tokens(), 7);
  EXPECT_THAT(tree.children()[1], testing::ElementsAre(2, 3));
}

TEST(LoggedTree, NamesWhatDoesNotFit) {
  const auto error = [](const std::function<void(Json&)>& change) {
    Json line = small_tree_line();
    change(line);
    return error_of([&] { read_logged_tree(line, "FILE, line 3"); });
  };
  EXPECT_THAT(error([](Json& j) { j["nodes"][2]["parent"] = 2; }),
              HasSubstr("FILE, line 3, nodes[2]: \"parent\" is 2"));
  EXPECT_THAT(error([](Json& j) { j["nodes"][3]["parent_used_tokens"] = 3; }),
              HasSubstr("nodes[3]: \"parent_used_tokens\" is 3"));
  EXPECT_THAT(error([](Json& j) {
                j["leaves"][0]["path"] = {0, 9};
              }),
              HasSubstr("leaves[0]: \"path\""));
  EXPECT_THAT(error([](Json& j) { j["nodes"] = Json::array(); }), HasSubstr("\"nodes\" is empty"));
  EXPECT_THAT(error([](Json& j) { j["nodes"][1]["logprobs"] = {1}; }),
              HasSubstr("1 numbers for 2 tokens"));
  EXPECT_THAT(error([](Json& j) { j = 3; }), HasSubstr("no tree"));
}

}  // namespace
}  // namespace treepo
