#include "report/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "report/sample_trees_json.h"
#include "report/small_log.h"
#include "support/expect_error.h"

namespace treepo {
namespace {

using testing::HasSubstr;
using testing::Not;

// The JSON that the page's script reads.
Json data_of(const std::string& page) {
  const std::string begin = "<script id=\"data\" type=\"application/json\">";
  const size_t at = page.find(begin) + begin.size();
  return Json::parse(page.substr(at, page.find("</script>", at) - at));
}

size_t count(const std::string& text, const std::string& part) {
  size_t number = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++number;
  return number;
}

TEST(Page, HoldsEveryRunAndNothingElse) {
  const SmallRun one, two;
  one.write("metrics.jsonl", "{\"step\":1,\"a\":1}\n");
  one.write("config.toml", "[train]\n# a help\nseed = 7\nmax_steps = 100\n");
  one.write("samples.jsonl", small_tree_line().dump() + "\n");
  two.write("config.toml", "[train]\nseed = 8\nmax_steps = 100\n");
  const std::string page = report_page({one.path(), two.path()});
  const Json data = data_of(page);
  ASSERT_EQ(data["runs"].size(), 2u);
  EXPECT_EQ(data["runs"][0]["config"][0], Json({"train.seed", "7", 0}));
  EXPECT_EQ(data["runs"][0]["config"][1], Json({"train.max_steps", "100", 1}));
  EXPECT_EQ(data["runs"][0]["group"], data["runs"][1]["group"]);  // they differ in the seed only
  EXPECT_EQ(data["runs"][0]["trees"].size(), 1u);
  EXPECT_TRUE(data["runs"][1]["trees"].empty());
  EXPECT_THAT(page, Not(HasSubstr("{{")));
  EXPECT_THAT(page, Not(testing::ContainsRegex("(src|href)=\"http")));
}

TEST(Page, TextCannotLeaveItsElement) {
  const std::string hostile = "</script><script>alert(1)</script><!-- {{data}} \xff";
  const SmallRun run;
  Json tree = small_tree_line();
  for (const char* key : {"query_id", "prompt_text", "answer"})
    tree[key] = "</script><!--{{script}}";
  run.write("samples.jsonl", tree.dump() + "\n");
  run.write("metrics.jsonl", OrderedJson{{"step", 1}, {"</script><b>", 2}}.dump() + "\n");
  run.write("config.toml", "[a]\nb = \"" + hostile + "\"\n");
  const std::string page = report_page({run.path()});
  EXPECT_EQ(count(page, "</script>"), 2u);
  EXPECT_EQ(count(page, "<!--"), 0u);
  EXPECT_EQ(data_of(page)["runs"][0]["trees"][0]["query"], "</script><!--{{script}}");
}

TEST(Page, AFolderWithoutARunIsAnError) {
  const SmallRun run;
  EXPECT_THAT(error_of([&] { report_page({run.path()}); }),
              testing::AllOf(HasSubstr(run.path()), HasSubstr("holds no run")));
}

TEST(SampleTrees, AsManyStepsAsFitSpreadOverTheRun) {
  const SmallRun run;
  std::string lines;
  for (int step = 1; step <= 200; ++step) {
    Json tree = small_tree_line();
    tree["step"] = step;
    lines += tree.dump() + "\n";
  }
  run.write("samples.jsonl", lines + "{\"step\": 201, \"no");
  const SampleTrees all = read_sample_trees(run / "samples.jsonl", 1'000'000);
  EXPECT_EQ(all.num_trees, 200);
  EXPECT_EQ(all.trees.size(), 200u);
  EXPECT_EQ(all.unreadable_lines, 0);
  const size_t each = dump_json(all.trees[0]).size();
  const SampleTrees few = read_sample_trees(run / "samples.jsonl", 12 * each);
  EXPECT_GE(few.trees.size(), 9u);
  EXPECT_LE(few.trees.size(), 12u);
  EXPECT_EQ(few.trees.front()["step"], 1);
  EXPECT_EQ(few.trees.back()["step"], 200);
  int last = 1;
  for (const OrderedJson& tree : few.trees) {
    EXPECT_LE(tree["step"].get<int>() - last, 60) << "a gap in the middle";
    last = tree["step"].get<int>();
  }
}

TEST(SampleTrees, ALargeTreeLosesDetail) {
  const LoggedTree tree = read_logged_tree(small_tree_line(), "here");
  const OrderedJson whole = tree_json(tree, TreeDetail::tokens);
  EXPECT_EQ(whole["nodes"][1]["t"].dump(), R"(["a","b"])");
  EXPECT_EQ(whole["nodes"][1]["lp"].dump(), "[50,150]");
  EXPECT_EQ(whole["nodes"][3]["u"], 1);
  EXPECT_EQ(whole["nodes"][3]["f"], 1);
  EXPECT_EQ(tree_json(tree, TreeDetail::segments)["nodes"][1]["t"], "ab");
  const SmallRun run;
  Json large = small_tree_line();
  large["nodes"][1]["text"] = std::string(1000, 'x') + "é" + std::string(1000, 'y');
  large["nodes"][1]["token_texts"][1] = large["nodes"][1]["text"];
  run.write("samples.jsonl", large.dump() + "\n");
  const SampleTrees read = read_sample_trees(run / "samples.jsonl", 7000);
  ASSERT_EQ(read.trees.size(), 1u);
  EXPECT_EQ(read.trees[0]["detail"], "excerpts");
  EXPECT_LT(read.trees[0]["nodes"][1]["t"].get<std::string>().size(), 200u);
}

TEST(SampleTrees, DamagedLinesAreCounted) {
  const SmallRun run;
  run.write("samples.jsonl",
            "{\"step\":1,\"nodes\":3}\nnonsense\n" + small_tree_line().dump() + "\n");
  const SampleTrees read = read_sample_trees(run / "samples.jsonl", 100000);
  EXPECT_EQ(read.trees.size(), 1u);
  EXPECT_EQ(read.unreadable_lines, 2);
  EXPECT_EQ(read_sample_trees(run / "nothing.jsonl", 1000).num_trees, 0);
}

}  // namespace
}  // namespace treepo
